package index

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
	"freshet/server/text"
)

func schema(t testing.TB, raw string) Schema {
	t.Helper()
	s, err := ParseSchema(json.RawMessage(raw))
	if err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return s
}

func newIndex(t testing.TB, field, raw string) *Index {
	t.Helper()
	path, err := payload.ParsePath(field)
	if err != nil {
		t.Fatal(err)
	}
	return New(path, schema(t, raw))
}

// subject is a point of a set.
type subject struct {
	slot uint32
	doc  map[string]any
}

func (s subject) ID() (point.ID, error)            { return point.Number(uint64(s.slot)), nil }
func (s subject) Payload() (map[string]any, error) { return s.doc, nil }
func (s subject) HasVector(string) bool            { return s.slot%2 == 0 }

// set is points with indexes.
type set struct {
	all     *roaring.Bitmap
	docs    map[uint32]map[string]any
	indexes []*Index
}

func (s *set) All() *roaring.Bitmap { return s.all }

func (s *set) Field(path string) filter.Index {
	for _, ix := range s.indexes {
		if ix.Key() == path {
			return ix
		}
	}
	return nil
}

func (s *set) IDs(ids []point.ID) *roaring.Bitmap {
	found := roaring.New()
	for slot := range s.docs {
		for _, id := range ids {
			if id == point.Number(uint64(slot)) {
				found.Add(slot)
			}
		}
	}
	return found
}

func (s *set) analyzer(path string) *text.Analyzer {
	if ix, ok := s.Field(path).(*Index); ok {
		return ix.Analyzer()
	}
	return nil
}

func (s *set) put(slot uint32, doc map[string]any) {
	s.drop(slot)
	s.all.Add(slot)
	s.docs[slot] = doc
	for _, ix := range s.indexes {
		ix.Add(slot, ix.Read(doc))
	}
}

func (s *set) drop(slot uint32) {
	before, ok := s.docs[slot]
	if !ok {
		return
	}
	s.all.Remove(slot)
	delete(s.docs, slot)
	for _, ix := range s.indexes {
		ix.Remove(slot, ix.Read(before))
	}
}

// random makes values, documents and conditions from few enough choices that
// they meet.
type random struct{ *rand.Rand }

func (r random) one(choices ...string) string { return choices[r.IntN(len(choices))] }

func (r random) value() string {
	switch r.IntN(12) {
	case 0:
		return "null"
	case 1:
		return r.one("true", "false")
	case 2, 3:
		return fmt.Sprint(r.IntN(7) - 3)
	case 4:
		return r.one("-1.5", "0.5", "2.0", "1e3", "9007199254740993", "9223372036854775807", "18446744073709551615", "-0.0")
	case 5, 6:
		return `"` + r.one("a", "b", "The a", "a b c", "b, a. C") + `"`
	case 7:
		return `"` + r.one("2024-05-01", "2024-05-01T10:00:00.0000005Z", "2024-05-01T10:00:00+02:00", "1969-12-31T23:59:59.999999Z", "0001-01-01") + `"`
	case 8:
		return `"` + r.one("550e8400-e29b-41d4-a716-446655440000", "550E8400-e29b-41d4-a716-446655440000", "123e4567-e89b-12d3-a456-426614174000") + `"`
	case 9, 10:
		return fmt.Sprintf(`{"lon":%v,"lat":%v}`, r.one("0", "1e-7", "179.99", "-180", "180", "2.35", "999"), r.one("0", "48.85", "-90", "90", "89.95", "-17"))
	default:
		return `{"k":` + r.one("1", `"a"`, "null") + `}`
	}
}

func (r random) document() string {
	var members []string
	for _, key := range []string{"x", "y"} {
		switch r.IntN(6) {
		case 0:
		case 1:
			var list []string
			for range r.IntN(4) {
				list = append(list, r.value())
			}
			members = append(members, fmt.Sprintf(`"%s":[%s]`, key, strings.Join(list, ",")))
		case 2:
			members = append(members, fmt.Sprintf(`"%s":[{"k":%s},{"k":[%s]}]`, key, r.value(), r.value()))
		default:
			members = append(members, fmt.Sprintf(`"%s":%s`, key, r.value()))
		}
	}
	return "{" + strings.Join(members, ",") + "}"
}

func (r random) number() string {
	return r.one("-3", "0", "1.5", "2", "9007199254740992", "9.3e18", "-0.0")
}

func (r random) moment() string {
	return r.one(`"2024-05-01"`, `"2024-05-01T08:00:00Z"`, `"2024-05-01T10:00:00.0000004Z"`, `"1970-01-01"`, `"0001-01-01"`)
}

func (r random) bounds(bound func() string) string {
	var list []string
	for _, op := range []string{"gt", "gte", "lt", "lte"} {
		if r.IntN(3) == 0 {
			list = append(list, `"`+op+`":`+bound())
		}
	}
	return strings.Join(list, ",")
}

func (r random) test() string {
	switch r.IntN(13) {
	case 0:
		return `"match":{"value":` + r.one("1", "-3", "18446744073709551615", "true", "false", `"a"`, `"550e8400-e29b-41d4-a716-446655440000"`, `"550E8400-e29b-41d4-a716-446655440000"`) + `}`
	case 1:
		return `"match":{"` + r.one("any", "except") + `":` + r.one(`["a","b"]`, `["a"]`, `[1,2]`, `[0]`, `[]`, `["550e8400-e29b-41d4-a716-446655440000","a b c"]`, `[18446744073709551615]`) + `}`
	case 2, 3:
		return `"match":{"` + r.one("text", "text_any", "phrase", "prefix") + `":"` + r.one("a", "b a", "a b", "The", "a. c", "!", "") + `"}`
	case 4, 5:
		return `"range":{` + r.bounds(r.number) + `}`
	case 6:
		return `"range":{` + r.bounds(r.moment) + `}`
	case 7:
		return fmt.Sprintf(`"geo_radius":{"center":{"lon":%s,"lat":%s},"radius":%s}`, r.one("0", "179", "-180", "2.3"), r.one("0", "48.8", "90", "-16", "89.9"), r.one("0", "0.02", "20000", "3e6", "1e9"))
	case 8:
		return fmt.Sprintf(`"geo_bounding_box":{"top_left":{"lon":%s,"lat":%s},"bottom_right":{"lon":%s,"lat":%s}}`, r.one("-180", "-1", "170"), r.one("90", "49", "1"), r.one("1", "180", "-170", "3"), r.one("-90", "-20", "0", "48"))
	case 9:
		return `"geo_polygon":{"exterior":{"points":[{"lon":-5,"lat":-5},{"lon":5,"lat":-5},{"lon":5,"lat":60},{"lon":-5,"lat":-5}]}}`
	case 10:
		return `"values_count":{` + r.one(`"gt":0`, `"gte":2`, `"lt":1`, `"lt":3,"gt":0`, `"lte":0`) + `}`
	default:
		return `"` + r.one("is_empty", "is_null") + `":` + r.one("true", "false")
	}
}

func (r random) condition(depth int) string {
	if depth > 0 {
		switch r.IntN(8) {
		case 0, 1:
			return r.filter(depth - 1)
		case 2:
			return `{"nested":{"key":"x","filter":` + r.filter(0) + `}}`
		}
	}
	switch r.IntN(12) {
	case 0:
		return fmt.Sprintf(`{"has_id":[%d,%d,777]}`, r.IntN(100), r.IntN(100))
	case 1:
		return `{"has_vector":"v"}`
	}
	first, second := r.test(), r.test()
	text := `{"key":"` + r.one("x", "x", "y", `\"x\"`, "x[]", "x[0]", "x[].k", "k", "z") + `",` + first
	name := func(test string) string { return strings.SplitN(test, ":", 2)[0] }
	if r.IntN(6) == 0 && name(first) != name(second) {
		text += "," + second
	}
	return text + "}"
}

func (r random) filter(depth int) string {
	var clauses []string
	list := func() string {
		var conditions []string
		for range 1 + r.IntN(3) {
			conditions = append(conditions, r.condition(depth))
		}
		return "[" + strings.Join(conditions, ",") + "]"
	}
	for _, clause := range []string{"must", "should", "must_not"} {
		if r.IntN(2) == 0 {
			clauses = append(clauses, `"`+clause+`":`+list())
		}
	}
	if r.IntN(4) == 0 {
		clauses = append(clauses, fmt.Sprintf(`"min_should":{"conditions":%s,"min_count":%d}`, list(), 1+r.IntN(3)))
	}
	return "{" + strings.Join(clauses, ",") + "}"
}

var schemas = []string{
	`"keyword"`, `"integer"`, `{"type":"integer","range":false}`, `{"type":"integer","lookup":false}`, `"float"`, `"bool"`, `"datetime"`, `"uuid"`, `"geo"`,
	`"text"`, `{"type":"text","tokenizer":"prefix","min_token_len":1,"max_token_len":2}`, `{"type":"text","phrase_matching":true,"lowercase":false}`,
}

// Whatever the documents, the filter and the changes: the bounds hold, and an
// index that has seen only values of its type is exact.
func TestBoundsHold(t *testing.T) {
	for seed := range uint64(25) {
		r := random{rand.New(rand.NewPCG(seed, 1))}
		s := &set{all: roaring.New(), docs: map[uint32]map[string]any{}}
		for _, field := range []string{"x", "y", "x[].k"} {
			if r.IntN(4) > 0 {
				s.indexes = append(s.indexes, newIndex(t, field, r.one(schemas...)))
			}
		}
		for round := range 4 {
			for range 150 {
				slot := uint32(r.IntN(300)) * 1000
				if r.IntN(3) == 0 {
					s.drop(slot)
					continue
				}
				doc, err := payload.Decode([]byte(r.document()))
				if err != nil {
					t.Fatal(err)
				}
				s.put(slot, doc)
			}
			for range 60 {
				checkBounds(t, s, r.filter(2), fmt.Sprintf("seed %d, round %d", seed, round))
			}
		}
		for slot := range s.docs {
			s.drop(slot)
		}
		for _, ix := range s.indexes {
			if ix.Points() != 0 || !ix.others.IsEmpty() || !ix.null.IsEmpty() || !ix.filled.IsEmpty() || !ix.several.IsEmpty() || len(ix.counts) != 0 {
				t.Fatalf("seed %d: something is left in the %s index of %s", seed, ix.schema.Type, ix.Key())
			}
			if n, fresh := ix.Bytes(), New(ix.path, ix.schema).Bytes(); n > fresh+8000 {
				t.Fatalf("seed %d: the empty %s index takes %d bytes, a new one %d", seed, ix.schema.Type, n, fresh)
			}
		}
	}
}

// Every type of index, on documents with several values, against single tests.
func TestBoundsOfSeveralValues(t *testing.T) {
	r := random{rand.New(rand.NewPCG(3, 3))}
	for _, declared := range schemas {
		s := &set{all: roaring.New(), docs: map[uint32]map[string]any{}, indexes: []*Index{newIndex(t, "x", declared)}}
		for slot, x := range []string{
			`"a"`, `["a","b"]`, `["a","a"]`, `["a",5]`, `["a",null]`, `[]`, `null`, `5`, `[1,2]`, `[1,1.5]`, `[0,"a b"]`, `[true,false]`, `[true,"b"]`,
			`["550e8400-e29b-41d4-a716-446655440000","550E8400-e29b-41d4-a716-446655440000"]`, `["550e8400-e29b-41d4-a716-446655440000","a"]`,
			`["2024-05-01","1970-01-01"]`, `["2024-05-01","a"]`, `[{"lon":0,"lat":0},{"lon":179.99,"lat":-17}]`, `[["a"],"b"]`, `["b a","c"]`, `["b","a b c"]`,
		} {
			doc, err := payload.Decode([]byte(`{"x":` + x + `}`))
			if err != nil {
				t.Fatal(err)
			}
			s.put(uint32(slot), doc)
		}
		s.put(100, nil)
		for range 300 {
			clause := r.one("must", "must_not")
			checkBounds(t, s, `{"`+clause+`":{"key":"x",`+r.test()+`}}`, declared)
		}
	}
}

func checkBounds(t *testing.T, s *set, raw, where string) {
	t.Helper()
	var f filter.Filter
	if err := json.Unmarshal([]byte(raw), &f); err != nil {
		t.Fatalf("%s: %s: %v", where, raw, err)
	}
	bound := f.Bind(s.analyzer)
	b := bound.Bounds(s)
	for slot, doc := range s.docs {
		ok, err := bound.Match(subject{slot, doc})
		if err != nil {
			t.Fatal(err)
		}
		if ok && !b.Possible.Contains(slot) || !ok && b.Sure.Contains(slot) {
			text, _ := payload.Encode(doc)
			t.Fatalf("%s: %s on %s is %v; sure %v, possible %v", where, raw, text, ok, b.Sure.Contains(slot), b.Possible.Contains(slot))
		}
	}
	for _, set := range []*roaring.Bitmap{b.Sure, b.Possible} {
		if roaring.AndNot(set, s.all).GetCardinality() > 0 {
			t.Fatalf("%s: %s: the bounds have points that there are not", where, raw)
		}
	}
	if roaring.AndNot(b.Sure, b.Possible).GetCardinality() > 0 {
		t.Fatalf("%s: %s: points are sure and not possible", where, raw)
	}
}

// On documents as people have them no payload has to be looked at.
func TestExactness(t *testing.T) {
	s := &set{all: roaring.New(), docs: map[uint32]map[string]any{}}
	for field, raw := range map[string]string{
		"city": `"keyword"`, "tags": `"keyword"`, "n": `"integer"`, "price": `"float"`, "on": `"bool"`, "at": `"datetime"`, "u": `"uuid"`, "loc": `"geo"`, "body": `"text"`,
	} {
		s.indexes = append(s.indexes, newIndex(t, field, raw))
	}
	r := random{rand.New(rand.NewPCG(5, 5))}
	for slot := range uint32(2000) {
		raw := fmt.Sprintf(`{"city":"c%d","tags":["t%d","t%d"],"n":%d,"price":%d.5,"on":%v,"at":"2024-01-%02dT00:00:00Z","u":"550e8400-e29b-41d4-a716-4466554400%02d","loc":{"lon":%d,"lat":%d},"body":"word%d and w%d"}`,
			slot%10, r.IntN(20), r.IntN(20), r.IntN(1000), r.IntN(100), slot%3 == 0, 1+r.IntN(28), r.IntN(100), r.IntN(360)-180, r.IntN(180)-90, r.IntN(50), r.IntN(50))
		doc, err := payload.Decode([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		s.put(slot, doc)
	}
	for _, raw := range []string{
		`{"must":[{"key":"city","match":{"any":["c1","c2"]}},{"key":"n","range":{"gte":100,"lt":900}}],"must_not":{"key":"on","match":{"value":true}}}`,
		`{"must":{"key":"city","match":{"except":["c1"]}}}`,
		`{"must":{"key":"price","range":{"gt":50}}}`,
		`{"should":[{"key":"at","range":{"gte":"2024-01-10"}},{"key":"u","match":{"value":"550e8400-e29b-41d4-a716-446655440007"}}]}`,
		`{"must":{"key":"loc","geo_radius":{"center":{"lon":10,"lat":10},"radius":2000000}}}`,
		`{"must":{"key":"body","match":{"text":"Word7"}}}`, `{"must":{"key":"body","match":{"text":"AND word7"}}}`,
		`{"min_should":{"conditions":[{"key":"city","match":{"value":"c1"}},{"key":"n","range":{"lt":500}},{"key":"on","is_empty":false}],"min_count":2}}`,
		`{"must":[{"has_id":[1,2,3]},{"key":"tags","values_count":{"gte":2}},{"key":"city","is_null":false}]}`,
		`{"must":{"key":"n","match":{"value":"7"}}}`,
	} {
		checkBounds(t, s, raw, "typical")
		var f filter.Filter
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if b := f.Bind(s.analyzer).Bounds(s); !b.Exact() {
			t.Errorf("%s: %d sure, %d possible", raw, b.Sure.GetCardinality(), b.Possible.GetCardinality())
		}
	}
}

// An area of very many edges is not compared with all spots while nobody may change the
// index: the spots around it are left in doubt.
func TestAreasOfManyEdges(t *testing.T) {
	s := &set{all: roaring.New(), docs: map[uint32]map[string]any{}, indexes: []*Index{newIndex(t, "x", `"geo"`)}}
	r := random{rand.New(rand.NewPCG(7, 7))}
	const points = 4096
	for slot := range uint32(points) {
		s.put(slot, map[string]any{"x": map[string]any{"lon": r.Float64()*360 - 180, "lat": r.Float64()*180 - 90}})
	}
	for edges, exact := range map[int]bool{100: true, maxLooks / points * 2: false} {
		ring := make([]string, edges+1)
		for i := range ring {
			angle := 2 * math.Pi * float64(i%edges) / float64(edges)
			ring[i] = fmt.Sprintf(`{"lon":%v,"lat":%v}`, 170*math.Cos(angle), 80*math.Sin(angle))
		}
		raw := `{"must":{"key":"x","geo_polygon":{"exterior":{"points":[` + strings.Join(ring, ",") + `]}}}}`
		checkBounds(t, s, raw, "a large ring")
		var f filter.Filter
		if err := json.Unmarshal([]byte(raw), &f); err != nil {
			t.Fatal(err)
		}
		if b := f.Bounds(s); b.Exact() != exact {
			t.Errorf("%d edges: %d sure, %d possible", edges, b.Sure.GetCardinality(), b.Possible.GetCardinality())
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	for raw, want := range map[string]string{
		`"number"`:                          "untagged enum PayloadFieldSchema",
		`7`:                                 "untagged enum PayloadFieldSchema",
		`{"lookup":true}`:                   "untagged enum PayloadFieldSchema",
		`{"type":"integer","lookup":"yes"}`: "lookup: invalid type",
		`{"type":"keyword","lookup":true}`:  "lookup: an index of type keyword has no such parameter",
		`{"type":"integer","lookup":false,"range":false}`: "lookup: an integer index needs `lookup` or `range`",
		`{"type":"text","tokenizer":"x"}`:                 "tokenizer",
		`{"type":"text","lowercase":1}`:                   "lowercase: invalid type",
	} {
		if _, err := ParseSchema(json.RawMessage(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", raw, err, want)
		}
	}
}
