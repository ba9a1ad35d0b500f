package ingest

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Pauses between tries after a fault. They double, so that what is short costs little. A
// broker that restarts is away for seconds, and when it is back records are to be consumed
// within about a second: so the pauses of what only asks whether it is there end lower. They
// are those of the client, too, whose own end at 5 s, and whose topics were not looked at
// more often than that either.
const (
	firstPause = 100 * time.Millisecond
	lastPause  = 5 * time.Second
	lastAway   = 500 * time.Millisecond // while brokers are away, or not ready
)

// pauseAfter returns the pause after so many tries in a row that failed, a fifth longer or
// shorter, so that those who lost a broker together do not all come back at once.
func pauseAfter(tries int, last time.Duration) time.Duration {
	pause := doubled(firstPause, max(tries, 1), last)
	return pause - pause/5 + rand.N(2*pause/5)
}

// doubled returns the first pause, twice as long for each try after the first, up to the last.
func doubled(first time.Duration, tries int, last time.Duration) time.Duration {
	return min(first<<min(tries-1, 15), last)
}

// awayError is a fault of a session that has not found its brokers: nothing was read yet, so
// that the next one costs no more than a connection.
type awayError struct{ error }

func (e *awayError) Unwrap() error { return e.error }

// lastAfter returns the longest pause after a fault that has ended a session.
func lastAfter(err error) time.Duration {
	if _, away := errors.AsType[*awayError](err); away {
		return lastAway
	}
	return lastPause
}

// isAway says whether the brokers may be there in a moment, as after a restart. What a person
// has to mend, such as a password or the name of a topic, is asked about less often.
func isAway(err error) bool {
	var dial *net.OpError
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return false // to Kafka a retriable one
	case errors.As(err, &dial) && dial.Op == "dial":
		return true // nothing listens, or there is no such host while a pod is made anew
	case errors.Is(err, context.DeadlineExceeded):
		return true // it listens and says nothing
	case kgo.IsRetryableBrokerErr(err):
		return true // the connection ended
	default:
		return kerr.IsRetriable(err) // there is no leader or coordinator yet
	}
}
