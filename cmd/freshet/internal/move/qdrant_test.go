package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"
)

// recorded is what a real Qdrant has said of one of its collections: the answers to
// GET /collections/{c} and …/aliases, and points with their vectors in the order of ids.
type recorded struct {
	info, aliases json.RawMessage
	points        []json.RawMessage
}

// recordings reads Qdrant's recorded answers.
func recordings(t *testing.T) map[string]recorded {
	t.Helper()
	file, err := os.Open("../../../../api/testdata/qdrant-1.19-answers.jsonl.zst")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	z, err := zstd.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	type exchange struct {
		Body   struct{ Points []json.RawMessage }
		Answer struct{ Result json.RawMessage } `json:"resp"`
	}
	var all []exchange
	for lines := json.NewDecoder(z); ; {
		var raw struct{ Body, Resp json.RawMessage }
		if err := lines.Decode(&raw); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		var x exchange
		_ = json.Unmarshal(raw.Body, &x.Body) // some bodies are malformed on purpose
		_ = json.Unmarshal(raw.Resp, &x.Answer)
		all = append(all, x)
	}
	answer := func(n int) json.RawMessage { return all[n].Answer.Result }
	list := func(numbers ...int) (points []json.RawMessage) {
		for _, n := range numbers {
			var page struct{ Points []json.RawMessage }
			var records []json.RawMessage
			if err := json.Unmarshal(answer(n), &page); err == nil {
				points = append(points, page.Points...)
			} else if err := json.Unmarshal(answer(n), &records); err == nil {
				points = append(points, records...)
			} else {
				t.Fatalf("answer %d has no points: %s", n, answer(n))
			}
		}
		return points
	}
	none := json.RawMessage(`{"aliases":[]}`)
	return map[string]recorded{
		"g_basic":    {answer(163), answer(152), list(144)},
		"g_filter":   {answer(438), none, all[288].Body.Points}, // as they were sent
		"g_named":    {answer(660), none, list(615, 647, 657)},  // vectors of all kinds
		"g_qscalar":  {answer(665), none, nil},
		"g_qbinary":  {answer(671), none, nil},
		"g_qproduct": {answer(677), none, nil},
	}
}

// qdrant answers as Qdrant does what an import asks: it overlooks parameters of the URL
// that it does not know, and a page begins at its offset and names that of the next.
type qdrant struct {
	t       *testing.T
	has     map[string]recorded
	scrolls atomic.Int64
	offsets []string // of the scrolls, one after the other
	cut     int64    // the answer to this scroll breaks off; 0 for none
	stop    func()   // called by the next after it, which is not answered
}

func (q *qdrant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/collections/"), "/")
	c, ok := q.has[name]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		_, _ = fmt.Fprintf(w, "{\"status\":{\"error\":\"Not found: Collection `%s` doesn't exist!\"},\"time\":0.00007}", name)
		return
	}
	switch r.Method + " " + rest {
	case "GET ":
		q.answer(w, c.info)
	case "GET aliases":
		q.answer(w, c.aliases)
	case "POST points/count":
		q.answer(w, fmt.Appendf(nil, `{"count":%d}`, len(c.points)))
	case "POST points/scroll":
		q.scroll(w, r, c.points)
	default:
		q.t.Errorf("an import asks %s %s", r.Method, r.URL)
	}
}

func (q *qdrant) answer(w io.Writer, result []byte) {
	_, _ = fmt.Fprintf(w, `{"result":%s,"status":"ok","time":0.000863669}`, result) // the client may be gone
}

func (q *qdrant) scroll(w io.Writer, r *http.Request, points []json.RawMessage) {
	var ask struct {
		Limit       int
		Offset      json.RawMessage
		WithPayload bool `json:"with_payload"`
		WithVector  bool `json:"with_vector"`
	}
	if err := json.NewDecoder(r.Body).Decode(&ask); err != nil || !ask.WithPayload || !ask.WithVector {
		q.t.Errorf("an import asks for %+v, %v", ask, err)
	}
	q.offsets = append(q.offsets, string(ask.Offset))
	n := q.scrolls.Add(1)
	if q.cut != 0 && n == q.cut {
		_, _ = io.WriteString(w, `{"result":{"points":[{"id":`)
		panic(http.ErrAbortHandler)
	}
	if q.cut != 0 && n > q.cut+1 && q.stop != nil {
		q.stop()
		panic(http.ErrAbortHandler)
	}
	begin := 0
	if len(ask.Offset) > 0 {
		begin = slices.IndexFunc(points, func(p json.RawMessage) bool { return pointID(q.t, p) == string(ask.Offset) })
	}
	end, next := min(begin+ask.Limit, len(points)), "null"
	if end < len(points) {
		next = pointID(q.t, points[end])
	}
	page, err := json.Marshal(points[begin:end])
	if err != nil {
		q.t.Error(err)
	}
	q.answer(w, fmt.Appendf(nil, `{"points":%s,"next_page_offset":%s}`, page, next))
}

func pointID(t *testing.T, point []byte) string {
	var p struct{ ID json.RawMessage }
	if err := json.Unmarshal(point, &p); err != nil {
		t.Error(err)
	}
	return string(p.ID)
}

// same compares points, of which vectors of Cosine are normalised once more.
func (r recorded) same(t *testing.T, got map[string]any) {
	t.Helper()
	want := map[string]any{}
	for _, raw := range r.points {
		var p any
		if err := json.Unmarshal(raw, &p); err != nil {
			t.Fatal(err)
		}
		want[pointID(t, raw)] = p
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-7)); diff != "" {
		t.Errorf("(-Qdrant +ours)\n%s", diff)
	}
}

// TestQdrantMoves imports what a real Qdrant has said of its collections.
func TestQdrantMoves(t *testing.T) {
	q := &qdrant{t: t, has: recordings(t)}
	web := httptest.NewServer(q)
	defer web.Close()
	to := start(t, nil)
	for name, c := range q.has {
		result, err := run(t, Import{From: Server{URL: web.URL}, FromName: name, To: to, Collection: name})
		if err != nil || result.Points != int64(len(c.points)) {
			t.Fatalf("%s: %+v, %v", name, result, err)
		}
		c.same(t, to.all(t, name))
		var theirs, ours struct {
			Config  map[string]any
			Indexes map[string]map[string]any `json:"payload_schema"`
		}
		if err := json.Unmarshal(c.info, &theirs); err != nil {
			t.Fatal(err)
		}
		if err := to.do(t.Context(), http.MethodGet, "/collections/"+name, nil, &ours); err != nil {
			t.Fatal(err)
		}
		for _, member := range []string{"params", "hnsw_config", "optimizer_config", "quantization_config", "metadata"} {
			if diff := cmp.Diff(theirs.Config[member], ours.Config[member]); diff != "" {
				t.Errorf("%s: %s (-Qdrant +ours)\n%s", name, member, diff)
			}
		}
		for _, index := range theirs.Indexes {
			delete(index, "points") // of later writes
		}
		for _, index := range ours.Indexes {
			delete(index, "points")
		}
		if diff := cmp.Diff(theirs.Indexes, ours.Indexes); diff != "" {
			t.Errorf("%s: payload indexes (-Qdrant +ours)\n%s", name, diff)
		}
	}
	var aliases any
	if err := to.do(t.Context(), http.MethodGet, "/aliases", nil, &aliases); err != nil {
		t.Fatal(err)
	}
	var want any
	if err := json.Unmarshal(q.has["g_basic"].aliases, &want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, aliases); diff != "" {
		t.Errorf("aliases (-Qdrant +ours)\n%s", diff)
	}
	_, err := run(t, Import{From: Server{URL: web.URL}, FromName: "none", To: to, Collection: "none"})
	var code interface{ ExitCode() int }
	if err == nil || !strings.Contains(err.Error(), "Not found: Collection `none` doesn't exist!") || !errors.As(err, &code) || code.ExitCode() != 2 {
		t.Errorf("a collection that is not there: %v", err)
	}
}

// TestQdrantGoesAway breaks an answer off, which is asked for again, and then ends the
// import; the next goes on where it ended.
func TestQdrantGoesAway(t *testing.T) {
	q := &qdrant{t: t, has: recordings(t), cut: 4}
	web := httptest.NewServer(q)
	defer web.Close()
	ctx, cancel := context.WithCancel(t.Context())
	q.stop = cancel
	to := start(t, nil)
	o := Import{
		From: Server{URL: web.URL}, FromName: "g_filter", To: to, Collection: "moved",
		Batch: 3, Parallel: 1, State: filepath.Join(t.TempDir(), "state"),
	}
	first, err := o.Run(ctx)
	if err == nil || first.Points == 0 {
		t.Fatalf("the import was not ended in the middle: %+v, %v", first, err)
	}
	q.stop = nil
	asked := len(q.offsets)
	second, err := o.Run(t.Context())
	if points := int64(len(q.has["g_filter"].points)); err != nil || !second.Resumed || second.Before == 0 || second.Before+second.Points != points {
		t.Errorf("%+v, %v", second, err)
	}
	if again := q.offsets[asked]; again == "" {
		t.Error("the second import began at the first point")
	}
	if q.offsets[3] != q.offsets[4] {
		t.Errorf("the answer that broke off was asked for at %s, then %s", q.offsets[3], q.offsets[4])
	}
	q.has["g_filter"].same(t, to.all(t, "moved"))
}
