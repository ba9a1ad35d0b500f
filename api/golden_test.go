package api_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"mime"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// goldenFile holds requests with the answers of a real Qdrant, in the order in
// which it got them.
const goldenFile = "testdata/qdrant-1.19-answers.jsonl.zst"

type golden struct {
	N            int
	Label        string
	Method, Path string
	Body         json.RawMessage
	Status       int
	ContentType  *string         `json:"ct"`
	Answer       json.RawMessage `json:"resp"`
}

// difference is one place where our answer is another than Qdrant's. Path leads
// to it through the answer, with [] for any element; it is "status" or "type" for the
// head of the answer.
type difference struct{ path, want, got string }

// TestQdrantAnswers replays Qdrant's answers. What differs must be in byDesign,
// or its request in notServed; entries of these that are not needed fail, too.
// With -v it tells the differences of the requests in notServed.
func TestQdrantAnswers(t *testing.T) {
	requests := readGolden(t)
	s := start(t)
	missing := map[int]string{}
	for kind, numbers := range notServed {
		for _, n := range numbers {
			if other := missing[n]; other != "" {
				t.Errorf("request %d is listed under %q and %q", n, other, kind)
			}
			missing[n] = kind
		}
	}
	used := make([]bool, len(byDesign))
	same, explained := 0, 0
	for _, g := range requests {
		w := s.replay(g)
		if undo := undos[g.N]; undo.method != "" {
			s.result(undo.method, undo.path, undo.body)
		}
		all := compareAnswers(g, w)
		left := slices.DeleteFunc(slices.Clone(all), func(d difference) bool {
			i := slices.IndexFunc(byDesign, func(r rule) bool { return r.explains(g.N, d) })
			if i >= 0 {
				used[i] = true
			}
			return i >= 0
		})
		kind, isMissing := missing[g.N]
		delete(missing, g.N)
		switch {
		case len(left) == 0 && isMissing:
			t.Errorf("%s is as expected now: take it from notServed[%q]", g, kind)
		case len(left) == 0 && len(all) == 0:
			same++
		case len(left) == 0:
			explained++
		case isMissing:
			t.Logf("%s: not served yet (%s)%s", g, kind, tell(left))
		default:
			t.Errorf("%s%s", g, tell(left))
		}
	}
	for n, kind := range missing {
		t.Errorf("notServed[%q] has a request %d that does not exist", kind, n)
	}
	for i, r := range byDesign {
		if !used[i] {
			t.Errorf("byDesign has a rule that explains nothing: %s (%s)", r.path, r.why)
		}
	}
	t.Logf("%d requests: %d answers are Qdrant's, %d differ by design", len(requests), same, explained)
	for kind, numbers := range notServed {
		t.Logf("not served yet: %s, %d requests", kind, len(numbers))
	}
}

// rule explains differences: those at path, of the requests given or of all.
type rule struct {
	path     string
	why      string
	requests []int
}

func (r rule) explains(n int, d difference) bool {
	at := d.path == r.path || strings.HasPrefix(d.path, r.path+".") || strings.HasPrefix(d.path, r.path+"[")
	return at && (r.requests == nil || slices.Contains(r.requests, n))
}

func (g golden) String() string {
	return fmt.Sprintf("%d %q: %s %s %.300s", g.N, g.Label, g.Method, g.Path, g.Body)
}

func readGolden(t *testing.T) []golden {
	packed, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	z, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var requests []golden
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var g golden
		if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
			t.Fatal(err)
		}
		requests = append(requests, g)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return requests
}

// replay sends the request. A body that is a string is not JSON.
func (s *service) replay(g golden) *httptest.ResponseRecorder {
	body := []byte(g.Body)
	var text string
	switch {
	case string(body) == "null":
		body = nil
	case json.Unmarshal(body, &text) == nil:
		body = []byte(text)
	}
	r := httptest.NewRequest(g.Method, g.Path, bytes.NewReader(body))
	return s.send(r)
}

func compareAnswers(g golden, w *httptest.ResponseRecorder) []difference {
	c := &comparison{}
	if w.Code != g.Status {
		c.differ("status", g.Status, fmt.Sprintf("%d %.300s", w.Code, w.Body))
		return c.found
	}
	wantType := ""
	if g.ContentType != nil {
		wantType, _, _ = mime.ParseMediaType(*g.ContentType)
	}
	if got, _, _ := mime.ParseMediaType(w.Header().Get("Content-Type")); got != wantType {
		c.differ("type", wantType, got)
		return c.found
	}
	var want, got any
	want = decodeNumbers(g.Answer)
	if wantType == "application/json" {
		got = decodeNumbers(w.Body.Bytes())
	} else {
		got = w.Body.String()
	}
	c.compare("", want, got)
	return c.found
}

func decodeNumbers(raw []byte) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return fmt.Sprintf("not JSON: %v: %s", err, raw)
	}
	return v
}

// varies names the members that are another number or time with each run, or of
// another machine.
var varies = map[string]bool{
	"time": true, "operation_id": true, "version": true, "peer_id": true, "creation_time": true, "checksum": true,
	"indexed_vectors_count": true, "segments_count": true, "idle_segments": true, "startup": true,
}

// comparison gathers differences.
type comparison struct{ found []difference }

func (c *comparison) differ(path string, want, got any) {
	c.found = append(c.found, difference{strings.TrimPrefix(path, "."), show(want), show(got)})
}

func show(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// absent stands for a member that one side does not have.
const absent = "(absent)"

func (c *comparison) compare(path string, want, got any) {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok {
			c.differ(path, want, got)
			return
		}
		for name, w := range want {
			g, ok := got[name]
			switch {
			case !ok:
				c.differ(path+"."+name, w, absent)
			case !varies[name] || !isScalar(w) || !isScalar(g):
				c.compare(path+"."+name, w, g)
			}
		}
		for name, g := range got {
			if _, ok := want[name]; !ok {
				c.differ(path+"."+name, absent, g)
			}
		}
	case []any:
		got, ok := got.([]any)
		if !ok || len(got) != len(want) {
			c.differ(path, want, got)
			return
		}
		want, got = sortTies(want), sortTies(got)
		for i := range want {
			c.compare(path+"[]", want[i], got[i])
		}
	case json.Number:
		got, ok := got.(json.Number)
		if !ok || !sameNumber(want, got) {
			c.differ(path, want, got)
		}
	case string:
		got, ok := got.(string)
		if !ok || withoutPlace(want) != withoutPlace(got) {
			c.differ(path, want, got)
		}
	default:
		if want != got {
			c.differ(path, want, got)
		}
	}
}

func isScalar(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return false
	default:
		return true
	}
}

// tolerance of numbers that are not integers, and of those beyond 1 in relation to them.
const tolerance = 1e-4

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	_, errA := strconv.ParseUint(string(a), 10, 64)
	_, errB := strconv.ParseUint(string(b), 10, 64)
	if errA == nil && errB == nil {
		return false
	}
	x, errA := a.Float64()
	y, errB := b.Float64()
	return errA == nil && errB == nil && math.Abs(x-y) <= tolerance*max(1, math.Abs(x))
}

// sortTies returns a list of found points, or of groups of them, with those of the same
// score in the order of their ids. The score of a group is that of its best point.
func sortTies(list []any) []any {
	for i := range list {
		if _, ok := scoreOf(list[i]); !ok {
			return list
		}
	}
	list = slices.Clone(list)
	for from := 0; from < len(list); {
		first, _ := scoreOf(list[from])
		to := from + 1
		for to < len(list) {
			if score, _ := scoreOf(list[to]); !sameNumber(first, score) {
				break
			}
			to++
		}
		slices.SortStableFunc(list[from:to], func(a, b any) int { return cmp.Compare(idText(a), idText(b)) })
		from = to
	}
	return list
}

func scoreOf(point any) (json.Number, bool) {
	m, _ := point.(map[string]any)
	if hits, ok := m["hits"].([]any); ok && len(hits) > 0 {
		return scoreOf(hits[0])
	}
	score, ok := m["score"].(json.Number)
	return score, ok
}

func idText(point any) string {
	m, _ := point.(map[string]any)
	return fmt.Sprint(m["id"], m["a"], m["b"])
}

var placeInBody = regexp.MustCompile(` at (line \d+ column|offset) \d+$| \(operations\[\d+\]\)$`)

// withoutPlace cuts off where in the body an error is.
func withoutPlace(text string) string { return placeInBody.ReplaceAllString(text, "") }

func tell(differences []difference) string {
	var b strings.Builder
	for i, d := range differences {
		if i == 5 {
			fmt.Fprintf(&b, "\n  and %d more", len(differences)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s\n    want %.600s\n    got  %.600s", d.path, d.want, d.got)
	}
	return b.String()
}
