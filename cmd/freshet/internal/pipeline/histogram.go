package pipeline

import (
	"math"
	"time"
)

// Buckets of a histogram: each is growth times as wide as the one before, so that a
// quantile is exact to 1%, from leastTime to years, which the age of a record may be.
const (
	growth    = 1.02
	leastTime = 10 * time.Microsecond
	buckets   = 1600
)

// histogram counts times in bounded memory; the zero value is empty.
type histogram struct {
	counts [buckets]uint32
	total  uint64
}

var logGrowth = math.Log(growth)

// bucketOf returns the bucket that a time falls into.
func bucketOf(d time.Duration) int {
	if d <= leastTime {
		return 0
	}
	return min(1+int(math.Log(float64(d)/float64(leastTime))/logGrowth), buckets-1)
}

func (h *histogram) count(bucket int) {
	h.counts[bucket]++
	h.total++
}

func (h *histogram) add(d time.Duration) { h.count(bucketOf(d)) }

// quantile returns the time that a share of all are at most, 0 below leastTime.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(math.Ceil(q * float64(h.total)))
	var seen uint64
	for i, n := range h.counts {
		if seen += uint64(n); n > 0 && seen >= rank {
			if i == 0 {
				return 0
			}
			return time.Duration(float64(leastTime) * math.Pow(growth, float64(i)-0.5))
		}
	}
	return 0
}

func (h *histogram) times() Times { return Times{P50: ms(h.quantile(0.5)), P99: ms(h.quantile(0.99))} }
