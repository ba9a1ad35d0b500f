package ingest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// start says where a partition without a stored position begins.
type start struct {
	latest  bool
	at      int64           // Unix milliseconds, -1 for the beginning; not with latest
	offsets map[int32]int64 // by partition; nil for none. The others begin by at.
}

// isEarliest says whether partitions begin with their logs, but for those that are named.
func (s *start) isEarliest() bool { return !s.latest && s.at < 0 }

func parseStart(s string) (start, error) {
	switch s {
	case "earliest":
		return start{at: -1}, nil
	case "latest":
		return start{latest: true}, nil
	}
	if text, ok := strings.CutPrefix(s, "timestamp:"); ok {
		if at, err := strconv.ParseInt(text, 10, 64); err == nil && at >= 0 {
			return start{at: at}, nil
		}
	}
	if text, ok := strings.CutPrefix(s, "offsets:"); ok {
		if offsets, ok := parseOffsets(strings.TrimSpace(text)); ok {
			return start{at: -1, offsets: offsets}, nil
		}
	}
	return start{}, fmt.Errorf("%.100q is not earliest, latest, timestamp:<milliseconds since 1970> or offsets:{<partition>: <offset>, …}", s)
}

// isIn refuses offsets of partitions that none of the topics has.
func (s *start) isIn(logs map[partition]bounds) error {
	has := map[int32]bool{}
	for p := range logs {
		has[p.number] = true
	}
	for _, number := range slices.Sorted(maps.Keys(s.offsets)) {
		if !has[number] {
			return invalid("start", "an offset is given for partition %d, which none of the topics has", number)
		}
	}
	return nil
}

// parseOffsets reads {<partition>: <offset>, …}.
func parseOffsets(s string) (map[int32]int64, bool) {
	inner, opens := strings.CutPrefix(s, "{")
	inner, closes := strings.CutSuffix(inner, "}")
	if !opens || !closes {
		return nil, false
	}
	offsets := map[int32]int64{}
	for pair := range strings.SplitSeq(inner, ",") {
		number, offset, _ := strings.Cut(pair, ":")
		p, err := strconv.ParseUint(strings.TrimSpace(number), 10, 31)
		if err != nil {
			return nil, false
		}
		n, err := strconv.ParseUint(strings.TrimSpace(offset), 10, 63)
		if _, twice := offsets[int32(p)]; err != nil || twice {
			return nil, false
		}
		offsets[int32(p)] = int64(n)
	}
	return offsets, true
}
