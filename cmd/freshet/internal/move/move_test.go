package move

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"freshet/api"
	"freshet/cmd/freshet/internal/rest"
	"freshet/server"
)

// start runs a database of its own; wrap may stand before it.
func start(t *testing.T, wrap func(http.Handler) http.Handler) Server {
	t.Helper()
	db, err := server.Open(t.Context(), t.TempDir(), server.Options{})
	if err != nil {
		t.Fatal(err)
	}
	h := api.New(db, api.Options{}).Handler()
	if wrap != nil {
		h = wrap(h)
	}
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		s.Close()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return Server{URL: s.URL}
}

func (s Server) must(t *testing.T, method, path, body string) {
	t.Helper()
	if err := s.do(t.Context(), method, path, []byte(body), nil); err != nil {
		t.Fatal(err)
	}
}

// all returns the points of a collection by id.
func (s Server) all(t *testing.T, collection string) map[string]any {
	t.Helper()
	src, err := openScroll(t.Context(), s, collection, 7)
	if err != nil {
		t.Fatal(err)
	}
	points := map[string]any{}
	for r, err := range src.rows(t.Context(), position{}) {
		if err != nil {
			t.Fatal(err)
		}
		var p any
		if err := json.Unmarshal(r.point, &p); err != nil {
			t.Fatal(err)
		}
		if _, twice := points[string(r.id)]; twice {
			t.Errorf("%s came twice", r.id)
		}
		points[string(r.id)] = p
	}
	return points
}

// richVectors are the vectors of the collection that rich fills, richPoints its points.
const (
	richVectors = `{"vectors":{"a":{"size":2,"distance":"Dot"},"":{"size":3,"distance":"Euclid"},
		"m":{"size":2,"distance":"Manhattan","multivector_config":{"comparator":"max_sim"}}},"sparse_vectors":{"s":{}}}`
	richPoints = 43
)

// rich fills a collection with ids and vectors of all kinds.
func rich(t *testing.T, s Server) {
	t.Helper()
	s.must(t, http.MethodPut, "/collections/rich", strings.TrimSuffix(richVectors, "}")+`,"hnsw_config":{"m":8},"metadata":{"x":1}}`)
	s.must(t, http.MethodPut, "/collections/rich/index?wait=true", `{"field_name":"n","field_schema":{"type":"integer","lookup":true,"range":true}}`)
	s.must(t, http.MethodPost, "/collections/aliases", `{"actions":[{"create_alias":{"collection_name":"rich","alias_name":"wealthy"}}]}`)
	var points []string
	for i := range 40 {
		more := ""
		if i%2 == 0 {
			more += fmt.Sprintf(`,"m":[[%d,0.1],[-2,3e-7],[4,5]]`, i)
		}
		if i%3 == 0 {
			more += fmt.Sprintf(`,"s":{"indices":[%d,4294967295],"values":[0.1,-3.5e-7]}`, i)
		}
		points = append(points, fmt.Sprintf(`{"id":%d,"vector":{"a":[%d,0.1],"":[1,2,-3.5e-7]%s},"payload":{"n":%d,"d":{"e":[1,"ü<"]}}}`, i, i, more, i))
	}
	points = append(points,
		`{"id":18446744073709551615,"vector":{"s":{"indices":[7,9],"values":[0.5,1]}}}`,
		`{"id":"any text","vector":{"a":[1,2]},"payload":{},"expires_at":4102444800000}`,
		`{"id":"550e8400-e29b-41d4-a716-446655440000","vector":{},"payload":{"id":"x"}}`)
	s.must(t, http.MethodPut, "/collections/rich/points?wait=true", `{"points":[`+strings.Join(points, ",")+`]}`)
}

func run(t *testing.T, o Import) (Result, error) {
	t.Helper()
	if o.State == "" {
		o.State = filepath.Join(t.TempDir(), "state")
	}
	if o.Batch == 0 {
		o.Batch = 3
	}
	o.Parallel = 3
	return o.Run(t.Context())
}

func TestExportImportKeepsEverything(t *testing.T) {
	from := start(t, nil)
	rich(t, from)
	want := from.all(t, "rich")
	if p, ok := want[`"any text"`].(map[string]any); !ok || p["expires_at"] != 4102444800000.0 {
		t.Fatalf("%v does not say when it ends", p)
	}
	for _, ext := range []string{".jsonl", ".parquet"} {
		file := filepath.Join(t.TempDir(), "rich"+ext)
		result, err := (&Export{From: from, Collection: "rich", File: file, Batch: 5}).Run(t.Context())
		if err != nil || result.Points != int64(len(want)) {
			t.Fatalf("%s: %+v, %v", ext, result, err)
		}
		to := start(t, nil)
		to.must(t, http.MethodPut, "/collections/c", richVectors)
		if _, err := run(t, Import{File: file, To: to, Collection: "c"}); err != nil {
			t.Fatal(ext, err)
		}
		if diff := cmp.Diff(want, to.all(t, "c")); diff != "" {
			t.Errorf("%s (-want +got)\n%s", ext, diff)
		}
	}
}

func TestACollectionMovesWhole(t *testing.T) {
	from, to := start(t, nil), start(t, nil)
	rich(t, from)
	if _, err := run(t, Import{From: from, FromName: "rich", To: to, Collection: "rich"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(from.all(t, "rich"), to.all(t, "wealthy")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, path := range []string{"/collections/rich", "/aliases"} {
		var info [2]map[string]any
		for i, s := range []Server{from, to} {
			if err := s.do(t.Context(), http.MethodGet, path, nil, &info[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, member := range []string{"config", "payload_schema", "points_count", "aliases"} {
			if diff := cmp.Diff(info[0][member], info[1][member]); diff != "" {
				t.Errorf("%s %s (-want +got)\n%s", path, member, diff)
			}
		}
	}
	// Nobody's collection is written over by mistake, nor by the same mistake again.
	again := Import{From: from, FromName: "rich", To: to, Collection: "rich", State: filepath.Join(t.TempDir(), "state")}
	for range 2 {
		_, err := run(t, again)
		if err == nil || !strings.Contains(err.Error(), "--append") {
			t.Errorf("a second import: %v", err)
		}
	}
}

func TestAnInterruptedImportGoesOn(t *testing.T) {
	from := start(t, nil)
	rich(t, from)
	file := filepath.Join(t.TempDir(), "rich.jsonl")
	if _, err := (&Export{From: from, Collection: "rich", File: file, Batch: 5}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, fromServer := range []bool{false, true} {
		for stopAfter := int64(1); stopAfter < 15; stopAfter += 4 {
			ctx, cancel := context.WithCancelCause(t.Context())
			var upserts atomic.Int64
			to := start(t, func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/points") {
						if upserts.Add(1) == stopAfter {
							cancel(errors.New("interrupted")) // as a kill: nothing is answered
							return
						}
					}
					h.ServeHTTP(w, r)
				})
			})
			o := Import{
				To: to, Collection: "rich", Batch: 3, Parallel: 2, State: filepath.Join(t.TempDir(), "state"),
				From: from, FromName: "rich",
			}
			if !fromServer {
				o.File = file
				to.must(t, http.MethodPut, "/collections/rich", richVectors)
			}
			if _, err := o.Run(ctx); err == nil || !strings.HasPrefix(err.Error(), "interrupted; ") || !strings.Contains(err.Error(), "the same command goes on") {
				t.Fatalf("the import was not interrupted, or does not say how it goes on: %v", err)
			}
			result, err := o.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !result.Resumed || result.Before+result.Points != richPoints {
				t.Errorf("stopped at %d: %+v", stopAfter, result)
			}
			if diff := cmp.Diff(from.all(t, "rich"), to.all(t, "rich")); diff != "" {
				t.Errorf("stopped at %d (-want +got)\n%s", stopAfter, diff)
			}
			if _, err := os.Stat(o.State); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the state file is left: %v", err)
			}
		}
	}
}

// What an interrupted import had written is gone with the collection it was written to.
func TestAnImportIntoADroppedCollectionBeginsAgain(t *testing.T) {
	from := start(t, nil)
	rich(t, from)
	file := write(t, "f.jsonl", `{"id":1,"vector":[1,2]}`+"\n"+`{"id":2,"vector":[1,2]}`+"\n"+`{"id":3,"vector":[1,2]}`+"\n")
	for _, o := range []Import{{File: file, Distance: "Dot"}, {From: from, FromName: "rich"}} {
		var upserts atomic.Int64
		to := start(t, func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/points") && upserts.Add(1) == 2 {
					w.WriteHeader(http.StatusForbidden)
					return
				}
				h.ServeHTTP(w, r)
			})
		})
		o.To, o.Collection, o.Batch, o.Parallel, o.State = to, "rich", 1, 1, filepath.Join(t.TempDir(), "state")
		if _, err := o.Run(t.Context()); err == nil {
			t.Fatal("the import was not interrupted")
		}
		to.must(t, http.MethodDelete, "/collections/rich", "")
		result, err := o.Run(t.Context())
		if n := len(to.all(t, "rich")); err != nil || result.Resumed || result.Before != 0 || int64(n) != result.Points || n < 3 {
			t.Errorf("%+v, %v: %d points", result, err, n)
		}
	}
}

// The payloads of the rows that are left are those of the rows before, or it is an error.
func TestAnImportDoesNotGoOnWithOtherPayloads(t *testing.T) {
	payload := write(t, "p.jsonl", "{\"a\":1}\n{\"a\":2}\n")
	var upserts atomic.Int64
	to := start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/points") && upserts.Add(1) > 1 {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			h.ServeHTTP(w, r)
		})
	})
	o := Import{
		File: writeNPY(t, 2, 1, 2, 3, 4), Payload: payload, To: to, Collection: "c", Distance: "Dot",
		Batch: 1, Parallel: 1, State: filepath.Join(t.TempDir(), "state"),
	}
	for _, now := range []string{payload, payload, "", write(t, "q.jsonl", "{}\n{}\n")} {
		o.Payload = now
		_, err := o.Run(t.Context())
		refused := err != nil && strings.Contains(err.Error(), "delete it to begin again")
		if err == nil || refused != (now != payload) {
			t.Errorf("payloads of %q: %v", now, err)
		}
	}
	if err := os.WriteFile(payload, []byte("{\"b\":1}\n{\"b\":1}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	o.Payload = payload
	if _, err := o.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "p.jsonl has changed") {
		t.Errorf("payloads that have changed: %v", err)
	}
}

func TestWhatMayPassIsTriedAgain(t *testing.T) {
	var calls atomic.Int64
	to := start(t, func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch calls.Add(1) {
			case 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case 2:
				w.Header().Set("Retry-After", "0")
				w.WriteHeader(http.StatusTooManyRequests)
			default:
				h.ServeHTTP(w, r)
			}
		})
	})
	if there, err := to.exists(t.Context(), "c"); err != nil || there {
		t.Errorf("%v, %v", there, err)
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls", calls.Load())
	}
}

// A mark of UTF-8 at the beginning is none of the first line; what servers answer beside a
// point does no harm.
func TestLinesOfOthers(t *testing.T) {
	to := start(t, nil)
	file := write(t, "f.jsonl", "\ufeff"+`{"id":1,"vector":[1,2],"version":3,"score":0.5,"shard_key":null,"order_value":1}`+"\r\n")
	if _, err := run(t, Import{File: file, To: to, Collection: "c", Distance: "Dot"}); err != nil {
		t.Fatal(err)
	}
	if points := to.all(t, "c"); len(points) != 1 {
		t.Errorf("%v", points)
	}
}

// An export finds out that it has no place before it reads.
func TestNothingIsExportedOntoAFolder(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "x.jsonl")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := (&Export{From: Server{URL: "http://127.0.0.1:1"}, Collection: "c", File: folder, Batch: 1}).Run(t.Context())
	if !rest.Final(err) || !strings.Contains(err.Error(), "is no file") {
		t.Error(err)
	}
}

// Who waits for a server is told so.
func TestTryingAgainIsTold(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	var told error
	to := Server{URL: "http://127.0.0.1:1", Again: func(err error) {
		told = err
		cancel(errors.New("interrupted"))
	}}
	_, err := to.exists(ctx, "c")
	if told == nil || !strings.Contains(told.Error(), "127.0.0.1:1") || err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("told %v, then %v", told, err)
	}
}

func writeNPY(t *testing.T, dim int, values ...float32) string {
	t.Helper()
	header := fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }\n", len(values)/dim, dim)
	raw := binary.LittleEndian.AppendUint16([]byte("\x93NUMPY\x01\x00"), uint16(len(header)))
	raw = append(raw, header...)
	for _, x := range values {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return write(t, "v.npy", string(raw))
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestNPY(t *testing.T) {
	to := start(t, nil)
	file := writeNPY(t, 2, 1, 0.1, 3, 4)
	payload := write(t, "p.jsonl", "{\"a\":1}\n{\"a\":[2]}\n")
	if _, err := run(t, Import{File: file, Payload: payload, To: to, Collection: "c", Distance: "Dot"}); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"0": map[string]any{"id": 0., "vector": []any{1., .1}, "payload": map[string]any{"a": 1.}},
		"1": map[string]any{"id": 1., "vector": []any{3., 4.}, "payload": map[string]any{"a": []any{2.}}},
	}
	if diff := cmp.Diff(want, to.all(t, "c")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestBadFiles(t *testing.T) {
	good := `{"id":1,"vector":[1,2]}` + "\n"
	for _, test := range []struct {
		name string
		o    Import
		want []string
	}{
		{"syntax", Import{File: write(t, "f.jsonl", good+`{"id":2,"vector":[1,}`)}, []string{"f.jsonl: row 2: byte"}},
		{"no id", Import{File: write(t, "f.jsonl", good+"\n"+`{"vector":[1,2]}`)}, []string{"f.jsonl: row 3", `"id"`}},
		{"twice", Import{File: write(t, "f.jsonl", `{"id":1,"id":2,"vector":[1,2]}`)}, []string{"f.jsonl: row 1", "duplicate"}},
		{"dimension", Import{File: write(t, "f.jsonl", good+`{"id":7,"vector":[1,2,3]}`)}, []string{"f.jsonl: row 2: point 7", "Vector dimension error"}},
		{"member", Import{File: write(t, "f.jsonl", good+`{"id":2,"vector":[1,2],"metadata":{}}`)}, []string{"f.jsonl: row 2", `member "metadata": want id`}},
		{"empty", Import{File: write(t, "f.jsonl", "")}, []string{"f.jsonl is empty"}},
		{"no file", Import{File: "missing.jsonl"}, []string{"missing.jsonl"}},
		{"kind", Import{File: write(t, "f.csv", "1")}, []string{"f.csv", ".parquet"}},
		{"no npy", Import{File: write(t, "f.npy", "hello, this is text")}, []string{"f.npy", "not an .npy array"}},
		{"NaN", Import{File: writeNPY(t, 2, 1, 2, 3, float32(math.NaN()))}, []string{"v.npy: row 2, column 2", "NaN"}},
		{"short payload", Import{File: writeNPY(t, 2, 1, 2, 3, 4), Payload: write(t, "p.jsonl", "{}\n")}, []string{"p.jsonl: line 2"}},
		{"no parquet", Import{File: write(t, "f.parquet", "PAR1 this is none PAR1")}, []string{"f.parquet"}},
		{"payload", Import{File: write(t, "f.jsonl", good), Payload: "p.jsonl"}, []string{"--payload"}},
		{"payload of points", Import{From: Server{URL: "http://127.0.0.1:1"}, Payload: "p.jsonl"}, []string{"--payload"}},
		{"batch", Import{File: write(t, "f.jsonl", good), Batch: 20_000}, []string{"--batch"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.To, test.o.Collection, test.o.Distance = start(t, nil), "c", "Dot"
			test.o.State = filepath.Join(t.TempDir(), "state")
			_, err := run(t, test.o)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range test.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			var code interface{ ExitCode() int }
			if !errors.As(err, &code) || code.ExitCode() != 2 {
				t.Errorf("%v: the exit code is not 2", err)
			}
			// There is nothing to go on with, and the file is going to be mended.
			if _, err := os.Stat(test.o.State); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a state is left: %v", err)
			}
		})
	}
}

// A damaged Parquet file is an error, whatever is damaged.
func TestDamagedParquet(t *testing.T) {
	from := start(t, nil)
	rich(t, from)
	file := filepath.Join(t.TempDir(), "rich.parquet")
	if _, err := (&Export{From: from, Collection: "rich", File: file, Batch: 50}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(raw); at += 37 {
		damaged := append([]byte(nil), raw...)
		damaged[at] ^= 0x55
		src, err := openParquet(write(t, "d.parquet", string(damaged)))
		if err != nil {
			continue
		}
		for r, err := range src.rows(t.Context(), position{}) {
			if err == nil && !json.Valid(r.point) {
				t.Fatalf("byte %d: %s", at, r.point)
			}
		}
	}
}

// What is left out at the beginning is not read to its end once the import is to end.
func TestRowsOfLinesEndWithTheContext(t *testing.T) {
	file := write(t, "f.jsonl", strings.Repeat(`{"id":1,"vector":[1,2]}`+"\n", 3)+"no point")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range (&jsonl{file}).rows(ctx, position{Rows: 3}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
}
