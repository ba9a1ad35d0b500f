package ingest

import (
	"slices"
	"time"

	"freshet/server"
)

// mark says where a log ended at a time. A state that has the log up to that end shows
// everything that was in the log then.
type mark struct {
	at      time.Time
	end     int64
	topicID server.TopicID
}

// maxMarks bounds the marks of a partition that are not reached yet.
const maxMarks = 64

// reached says whether a position is at the mark or behind it, in the same log.
func (m mark) reached(p server.Position) bool {
	return p.Next >= m.end && p.TopicID.CanBe(m.topicID)
}

// marks are those of one partition, ascending by time and end.
type marks []mark

// add returns the marks with a younger one, and without those that are of no use any
// more: of the reached ones only the newest counts.
func (list marks) add(x mark, p server.Position) marks {
	if n := len(list); n > 0 {
		switch last := &list[n-1]; {
		case !last.topicID.CanBe(x.topicID) || x.end < last.end:
			list = nil // another log, or one that was cut
		case x.end == last.end:
			last.at = x.at
			return list
		}
	}
	list = append(list, x)
	if i := list.newest(p); i > 0 {
		list = slices.Delete(list, 0, i)
	}
	if len(list) > maxMarks { // of a long backlog: fewer will do
		kept := list[:0]
		for i, m := range list {
			if i%2 == 0 || i == len(list)-1 {
				kept = append(kept, m)
			}
		}
		list = kept
	}
	return list
}

// newest returns the index of the newest mark that is reached, -1 for none.
func (list marks) newest(p server.Position) int {
	for i, m := range slices.Backward(list) {
		if m.reached(p) {
			return i
		}
	}
	return -1
}

// since returns the oldest mark that is not older than a time.
func (list marks) since(t time.Time) (mark, bool) {
	i := slices.IndexFunc(list, func(m mark) bool { return !m.at.Before(t) })
	if i < 0 {
		return mark{}, false
	}
	return list[i], true
}
