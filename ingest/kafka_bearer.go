package ingest

import (
	"context"

	"github.com/twmb/franz-go/pkg/sasl"
)

// bearer is OAUTHBEARER that lets a broker say why it refuses a token: it does once the
// client has acknowledged the refusal (RFC 7628, section 3.2.3).
type bearer struct{ sasl.Mechanism }

func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, message, err := b.Mechanism.Authenticate(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	return &bearerSession{Session: s}, message, nil
}

type bearerSession struct {
	sasl.Session
	refused bool
}

func (s *bearerSession) Challenge(answer []byte) (done bool, message []byte, err error) {
	if len(answer) > 0 && !s.refused {
		s.refused = true
		return false, []byte{1}, nil
	}
	return s.Session.Challenge(answer)
}
