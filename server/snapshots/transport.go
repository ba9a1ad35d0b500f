package snapshots

import (
	"context"
	"net"
	"net/http"
	"time"
)

// stallTime is how long a connection to a store may carry nothing.
const stallTime = time.Minute

// newTransport returns one whose connections end when they stall, in either direction:
// the time that a snapshot takes has no bound of its own. It speaks HTTP/1.1, where a
// connection is that of one request.
func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &stalling{c, stallTime}, nil
		},
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     stallTime / 2,
		MaxIdleConnsPerHost: describedAt,
		DisableCompression:  true,
	}
}

// stalling is a connection that fails when nothing has moved for a time.
type stalling struct {
	net.Conn
	after time.Duration
}

func (s *stalling) Read(p []byte) (int, error) {
	if err := s.SetReadDeadline(time.Now().Add(s.after)); err != nil {
		return 0, err
	}
	return s.Conn.Read(p)
}

// Write puts off the end of a Read, too, that waits for the answer to what is written.
func (s *stalling) Write(p []byte) (int, error) {
	if err := s.SetDeadline(time.Now().Add(s.after)); err != nil {
		return 0, err
	}
	return s.Conn.Write(p)
}
