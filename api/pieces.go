package api

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"freshet/server"
)

// pieces writes a result that is sent as it is encoded: the whole of a large one never
// exists as text beside the points. Nothing of it can fail.
type pieces func(s *sender)

// pieceSize is how much is sent at a time, at least, in bytes. What is smaller as a whole
// has a length.
const pieceSize = 64 << 10

// sender sends what is written to buf, piece by piece.
type sender struct {
	buf []byte
	w   *echo.Response
	err error
}

func (s *sender) text(text string) { s.buf = append(s.buf, text...) }

// list writes what each writes for 0 to n-1 as a list. Nothing is written any more once the
// client takes nothing.
func (s *sender) list(n int, each func(i int)) {
	s.text("[")
	for i := range n {
		if i > 0 {
			s.text(",")
		}
		if each(i); len(s.buf) >= pieceSize && s.err == nil {
			_, s.err = s.w.Write(s.buf)
			s.buf = s.buf[:0]
		}
		if s.err != nil {
			return
		}
	}
	s.text("]")
}

// records writes a list of records, which are not needed afterwards.
func (s *sender) records(list []server.Record, write func(dst []byte, r *server.Record) []byte) {
	s.list(len(list), func(i int) {
		s.buf = write(s.buf, &list[i])
		list[i] = server.Record{}
	})
}

// scored writes the list of what a search has found, which is not needed afterwards.
func (s *sender) scored(list []server.ScoredPoint) {
	s.list(len(list), func(i int) {
		s.buf = appendHit(s.buf, &list[i])
		list[i] = server.ScoredPoint{}
	})
}

func (r *request) send(write pieces) error {
	end := r.end(nil)
	s := sender{w: r.Response()}
	s.w.Header().Set(echo.HeaderContentType, echo.MIMEApplicationJSON)
	s.text(`{"result":`)
	if write(&s); s.err != nil {
		return s.err
	}
	s.buf = append(s.buf, end...)
	if !s.w.Committed {
		s.w.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(s.buf)))
		s.w.WriteHeader(http.StatusOK)
	}
	_, err := s.w.Write(s.buf)
	return err
}
