package ingest

import (
	"context"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"freshet/server"
)

// A log may be cut and grow again while nobody reads it: a replica that was behind becomes
// the leader, and what it writes has the offsets of what it lacked. Its length does not
// tell, but every leader writes in an epoch of its own, and knows where earlier ones ended.

// never is where a log parts from what was read of it if it does not.
const never = math.MaxInt64

// findParted notes in the bounds where the logs go on otherwise than they did when the
// positions were reached.
func (s *session) findParted(ctx context.Context, logs map[partition]bounds, positions map[partition][]server.Position) error {
	request := kadm.OffsetForLeaderEpochRequest{}
	for p, list := range positions {
		var last server.Position // the others have read less of the same log
		for _, at := range list {
			if at.Epoch > 0 && at.Next >= last.Next && at.TopicID.CanBe(logs[p].topicID) {
				last = at
			}
		}
		if last.Epoch > 0 {
			request.Add(p.topic, p.number, last.Epoch-1)
		}
	}
	if len(request) == 0 {
		return nil
	}
	answers, err := s.admin.OffsetForLeaderEpoch(ctx, request)
	if err != nil && s.cannotSayEpochs(ctx) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ask where the epochs of leaders ended: %w", err)
	}
	for p, b := range logs {
		answer, ok := answers[p.topic][p.number]
		switch {
		case !ok:
			continue
		case answer.Err != nil:
			return fmt.Errorf("topic %q, partition %d: ask where the epoch of a leader ended: %w", p.topic, p.number, answer.Err)
		case answer.EndOffset < 0: // the leader knows no such epoch, and so not where
			b.parted = b.start
		default:
			b.parted = max(answer.EndOffset, b.start)
		}
		logs[p] = b
	}
	return nil
}

// cannotSayEpochs says whether there is a broker that does not know the request: of another make
// than Kafka, which may have epochs in its records all the same.
func (s *session) cannotSayEpochs(ctx context.Context) bool {
	brokers, err := s.admin.ApiVersions(ctx)
	if err != nil {
		return false
	}
	for _, broker := range brokers {
		if _, knows := broker.KeyMaxVersion(kmsg.OffsetForLeaderEpoch.Int16()); broker.Err == nil && !knows {
			return true
		}
	}
	return false
}
