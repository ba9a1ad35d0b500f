package move

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
)

// scroll reads a collection of a running server, in the order of ids.
type scroll struct {
	server     Server
	collection string
	page       int
	points     int64
}

func openScroll(ctx context.Context, s Server, collection string, page int) (*scroll, error) {
	var answer struct{ Count int64 }
	if err := s.do(ctx, http.MethodPost, collectionPath(collection, "/points/count"), []byte(`{"exact":true}`), &answer); err != nil {
		return nil, err
	}
	return &scroll{server: s, collection: collection, page: page, points: answer.Count}, nil
}

func (s *scroll) name() string { return s.server.URL + collectionPath(s.collection, "") }
func (s *scroll) total() int64 { return s.points }

// rows begins at the last id that was written, which it leaves out: an id that
// has been deleted in the meantime does no harm.
func (s *scroll) rows(ctx context.Context, after position) iter.Seq2[row, error] {
	return func(yield func(row, error) bool) {
		offset, number := after.Last, after.Rows
		for {
			ask := map[string]any{"limit": s.page, "with_payload": true, "with_vector": true}
			if offset != nil {
				ask["offset"] = offset
			}
			var answer struct {
				Points []json.RawMessage
				Next   json.RawMessage `json:"next_page_offset"`
			}
			if err := s.server.send(ctx, http.MethodPost, collectionPath(s.collection, "/points/scroll?with_expiry=true"), ask, &answer); err != nil {
				yield(row{}, err)
				return
			}
			for _, raw := range answer.Points {
				var point struct{ ID json.RawMessage }
				if err := json.Unmarshal(raw, &point); err != nil {
					yield(row{}, err)
					return
				}
				if after.Last != nil && bytes.Equal(point.ID, after.Last) {
					continue
				}
				number++
				if !yield(row{number: number, id: point.ID, point: raw}, nil) {
					return
				}
			}
			if len(answer.Next) == 0 || string(answer.Next) == "null" {
				return
			}
			offset = answer.Next
		}
	}
}
