package decode

import (
	"math"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// ttl says how long a point lives, from the timestamp of its record on; the zero ttl
// for ever.
type ttl struct {
	fixed int64 // milliseconds
	from  ref   // where the record says it, if it is not fixed
}

// maxTTL is about 100 years, in milliseconds.
const maxTTL = 100 * 365 * 24 * 3_600_000

// parseTTL reads the setting: a duration, value.<field> or header.<name>.
func parseTTL(s string) (ttl, error) {
	if s == "" {
		return ttl{}, nil
	}
	if r, err := parseRef(s); err == nil && (r.place == inValue || r.place == inHeader) {
		return ttl{from: r}, nil
	}
	ms, err := parseLife(s)
	if err != nil {
		return ttl{}, &FieldError{"ttl", strconv.Quote(s) + " is not a duration such as 90s or 24h, value.<field> or header.<name>"}
	}
	return ttl{fixed: ms}, nil
}

// parseLife reads a duration or a number of milliseconds.
func parseLife(text string) (int64, error) {
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, Bad(BadTTL, "%.40q is neither a number of milliseconds nor a duration such as 90s or 24h", text)
		}
		ms = d.Milliseconds()
	}
	if ms < 1 || ms > maxTTL {
		return 0, Bad(BadTTL, "%.40q is not between 1 millisecond and 100 years", text)
	}
	return ms, nil
}

// expires returns when the point of a row ends, 0 for never.
func (w *row) expires(r *kgo.Record) (int64, error) {
	ms := w.m.ttl.fixed
	if from := w.m.ttl.from; from.place == inHeader {
		raw, _ := header(r, from.field)
		var err error
		if ms, err = lifeOf(raw); err != nil {
			return 0, err
		}
	} else if from.place == inValue {
		ms = w.ttl
	}
	if ms == 0 {
		return 0, nil
	}
	at := r.Timestamp.UnixMilli()
	if at < 0 || at > math.MaxInt64-maxTTL {
		return 0, Bad(BadTTL, "the record has the timestamp %d, from which no time to live can count", at)
	}
	return at + ms, nil
}

// lifeOf reads what a member or a header holds; nothing and null are 0.
func lifeOf(raw []byte) (int64, error) {
	text := string(raw)
	if quoted := unquoted(raw); quoted != "" {
		text = quoted
	}
	if text == "" || text == "null" {
		return 0, nil
	}
	return parseLife(text)
}
