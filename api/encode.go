package api

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"freshet/server"
)

// The results of reads are appended by hand: they are many numbers, and most of
// a search's answer.

func appendHit(dst []byte, p *server.ScoredPoint) []byte {
	dst = append(dst, `{"id":`...)
	dst = p.ID.AppendJSON(dst)
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, p.Version, 10)
	dst = append(dst, `,"score":`...)
	dst = appendFloat(dst, p.Score)
	return append(appendContent(dst, &p.Record), '}')
}

func appendRecord(dst []byte, r *server.Record) []byte {
	dst = append(dst, `{"id":`...)
	dst = r.ID.AppendJSON(dst)
	return append(appendContent(dst, r), '}')
}

// appendContent writes what was asked for of the payload and the vectors.
func appendContent(dst []byte, r *server.Record) []byte {
	if r.Payload != nil {
		dst = append(dst, `,"payload":`...)
		dst = append(dst, r.Payload...)
	}
	if r.Vectors != nil {
		dst = append(dst, `,"vector":`...)
		dst = appendVectors(dst, r.Vectors)
	}
	if v := r.Order; v != nil {
		dst = append(dst, `,"order_value":`...)
		if v.IsFloat {
			dst = appendNumber(dst, v.Float, 64)
		} else {
			dst = strconv.AppendInt(dst, v.Int, 10)
		}
	}
	return dst
}

// appendVectors writes the unnamed vector bare when it is the only one, else
// all by name.
func appendVectors(dst []byte, vectors server.Vectors) []byte {
	if v, ok := vectors[""]; ok && len(vectors) == 1 {
		return appendVector(dst, v)
	}
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(vectors)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, name)
		dst = append(dst, ':')
		dst = appendVector(dst, vectors[name])
	}
	return append(dst, '}')
}

func appendString(dst []byte, s string) []byte {
	quoted, err := json.Marshal(s)
	if err != nil { // a string always has a JSON form
		panic(err)
	}
	return append(dst, quoted...)
}
