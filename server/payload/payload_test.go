package payload

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func mustPath(t *testing.T, s string) Path {
	t.Helper()
	p, err := ParsePath(s)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decode(t *testing.T, s string) map[string]any {
	t.Helper()
	doc, err := Decode([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func encoded(t *testing.T, doc map[string]any) string {
	t.Helper()
	raw, err := Encode(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestDecodeKeepsNumbers(t *testing.T) {
	got := decode(t, `{"i":7,"f":7.0,"n":-9223372036854775808,"u":18446744073709551615,"big":18446744073709551616,"e":1e3,"l":[1,{"x":2}]}`)
	want := map[string]any{
		"i": int64(7), "f": 7.0, "n": int64(math.MinInt64), "u": uint64(math.MaxUint64),
		"big": 18446744073709551616.0, "e": 1000.0,
		"l": []any{int64(1), map[string]any{"x": int64(2)}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Fatal(d)
	}
	const back = `{"big":18446744073709552000.0,"e":1000.0,"f":7.0,"i":7,"l":[1,{"x":2}],"n":-9223372036854775808,"u":18446744073709551615}`
	if s := encoded(t, got); s != back {
		t.Fatalf("encoded as %s", s)
	}
}

func TestCompact(t *testing.T) {
	for in, want := range map[string]string{
		` {"a" : [1, 2.50] } `: `{"a":[1,2.50]}`,
		`null`:                 ``,
		`{}`:                   `{}`,
	} {
		if got, err := Compact([]byte(in)); err != nil || string(got) != want {
			t.Errorf("Compact(%s) = %s, %v", in, got, err)
		}
	}
	for _, bad := range []string{``, `[1]`, `1`, `"x"`, `{"a":}`, `{"a":1}x`, "{\"a\":\"\xff\"}", strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat(`}`, 200), `{"a":NaN}`} {
		if got, err := Compact([]byte(bad)); err == nil {
			t.Errorf("%.40q was accepted as %s", bad, got)
		}
	}
}

func TestParsePath(t *testing.T) {
	for _, ok := range []string{`a`, `a.b`, `a[].b`, `a[0][1].b`, `"my key"."a.b"`, `ключ-1_x`, `a[]`} {
		if p := mustPath(t, ok); p.String() != ok {
			t.Errorf("%s became %s", ok, p)
		}
	}
	for _, bad := range []string{``, `.`, `a.`, `.a`, `a[`, `a]`, `a[-1]`, `a[x]`, `a b`, `"`, `""`, `a..b`, `[0]`, `a[99999999999]`} {
		if _, err := ParsePath(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestValues(t *testing.T) {
	doc := decode(t, `{"s":1,"a":[1,2],"o":{"x":5},"l":[{"c":1},{"c":[3,4]},{"d":9}],"n":null,"k.k":{"y":6}}`)
	for path, want := range map[string]string{
		`s`: `[1]`, `a`: `[1,2]`, `a[]`: `[1,2]`, `a[1]`: `[2]`, `a[7]`: `[]`,
		`o.x`: `[5]`, `l.c`: `[]`, `l[].c`: `[1,3,4]`, `l[1].c`: `[3,4]`,
		`n`: `[null]`, `missing`: `[]`, `s.x`: `[]`, `"k.k".y`: `[6]`,
	} {
		got := []any{}
		mustPath(t, path).Values(doc, func(v any) bool {
			got = append(got, v)
			return true
		})
		if raw, err := json.Marshal(got); err != nil || string(raw) != want {
			t.Errorf("%s: %s (%v), want %s", path, raw, err, want)
		}
	}
}

func TestSetAndDelete(t *testing.T) {
	for _, c := range []struct{ name, doc, path, value, want string }{
		{"merge", `{"a":1,"b":{"x":1}}`, ``, `{"b":2,"c":3}`, `{"a":1,"b":2,"c":3}`},
		{"null removes", `{"a":1,"b":2}`, ``, `{"a":null}`, `{"b":2}`},
		{"at key", `{"n":{"a":1}}`, `n`, `{"z":9}`, `{"n":{"a":1,"z":9}}`},
		{"at missing", `{}`, `a.b`, `{"x":1}`, `{"a":{"b":{"x":1}}}`},
		{"at elements", `{"b":[{"c":1},2]}`, `b[]`, `{"d":7}`, `{"b":[{"c":1,"d":7},{"d":7}]}`},
		{"at one element", `{"b":[{"c":1},{"c":2}]}`, `b[1]`, `{"e":8}`, `{"b":[{"c":1},{"c":2,"e":8}]}`},
		{"beyond the end", `{"b":[1]}`, `b[5]`, `{"e":8}`, `{"b":[1]}`},
		{"elements of no array", `{"b":3}`, `b[]`, `{"e":8}`, `{"b":[]}`},
		{"object in place", `{"b":3}`, `b`, `{"e":8}`, `{"b":{"e":8}}`},
		{"delete key", `{"a":1,"b":2}`, `a`, ``, `{"b":2}`},
		{"delete in elements", `{"a":[{"b":1,"c":2},{"b":3},4]}`, `a[].b`, ``, `{"a":[{"c":2},{},4]}`},
		{"delete element", `{"a":[1,2,3]}`, `a[1]`, ``, `{"a":[1,3]}`},
		{"delete elements", `{"a":[1,2,3]}`, `a[]`, ``, `{"a":[]}`},
		{"delete missing", `{"a":1}`, `x.y[3].z`, ``, `{"a":1}`},
	} {
		doc := decode(t, c.doc)
		switch {
		case c.value == "":
			Delete(doc, mustPath(t, c.path))
		case c.path == "":
			Set(doc, decode(t, c.value))
		default:
			if err := SetAt(doc, mustPath(t, c.path), decode(t, c.value)); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		if got := encoded(t, doc); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What is at a path is not nested too deep, whatever is there already.
func TestCheckDepth(t *testing.T) {
	value := decode(t, `{"x":1,"y":[{"z":1}]}`) // 3 deep
	for n, want := range map[int]bool{1: true, MaxDepth - 3: true, MaxDepth - 2: false} {
		path := mustPath(t, strings.Repeat("a.", n-1)+"a")
		doc := map[string]any{}
		if err := SetAt(doc, path, value); err != nil {
			t.Fatal(err)
		}
		_, err := Decode([]byte(encoded(t, doc)))
		if deep := path.CheckDepth(value); (deep == nil) != want || (err == nil) != want {
			t.Errorf("%d steps: checked: %v, read: %v", n, deep, err)
		}
	}
}

// A value that an update puts into each element of an array takes no more memory than
// requests do.
func TestCopiesAreBounded(t *testing.T) {
	doc := map[string]any{"a": make([]any, 1<<10)}
	value := map[string]any{"x": strings.Repeat("x", 1<<17)}
	if err := SetAt(doc, mustPath(t, "a[].b"), value); err == nil {
		t.Error("128 MiB were put into one payload")
	}
	if err := SetAt(doc, mustPath(t, "a[7].b"), value); err != nil {
		t.Error(err)
	}
}

func TestSelector(t *testing.T) {
	const doc = `{"a":{"b":[{"c":1,"d":2},{"c":3}],"e":1.50},"city":"x"}`
	for selector, want := range map[string]string{
		`true`:                    doc,
		`false`:                   ``,
		`[]`:                      `{}`,
		`["city"]`:                `{"city":"x"}`,
		`["a.b[].c"]`:             `{"a":{"b":[{"c":1},{"c":3}]}}`,
		`["a.b.c"]`:               `{"a":{"b":[]}}`,
		`["nope"]`:                `{}`,
		`{"include":["a.e"]}`:     `{"a":{"e":1.50}}`,
		`{"exclude":["a"]}`:       `{"city":"x"}`,
		`{"exclude":["a.b[].c"]}`: `{"a":{"b":[{"d":2},{}],"e":1.50},"city":"x"}`,
	} {
		var s Selector
		if err := json.Unmarshal([]byte(selector), &s); err != nil {
			t.Errorf("%s: %v", selector, err)
			continue
		}
		got, err := s.Apply(json.RawMessage(doc))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s (%v), want %s", selector, got, err, want)
		}
	}
	for _, bad := range []string{`1`, `"city"`, `{}`, `{"include":["a"],"exclude":["b"]}`, `{"include":null}`, `["a["]`, `[1]`, `{"other":[]}`} {
		var s Selector
		if err := s.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `{"a":{"a":{}}}`, `{"a":1,"a":2}`, `{"u":18446744073709551615}`} {
		f.Add([]byte(s), `a[].b`)
	}
	f.Fuzz(func(t *testing.T, raw []byte, path string) {
		doc, err := Decode(raw)
		if err != nil {
			return
		}
		first := encoded(t, doc)
		if second := encoded(t, decode(t, first)); second != first {
			t.Fatalf("%s became %s", first, second)
		}
		if p, err := ParsePath(path); err == nil {
			p.Values(doc, func(any) bool { return true })
			if err := SetAt(doc, p, map[string]any{"x": int64(1)}); err != nil {
				t.Fatal(err)
			}
			Delete(doc, p)
			if _, err := Encode(doc); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestNumbersOutOfRange(t *testing.T) {
	long := strings.Repeat("9", 400)
	for raw, ok := range map[string]bool{
		`{"a":1e308}`: true, `{"a":-1.5E+308}`: true, `{"a":1e-400}`: true, `{"a":"1e400"}`: true, `{"1e400":"\"1e400"}`: true,
		`{"a":[true,false,1e5,null]}`: true, `{"a":0.` + long + `}`: true, `{"a":1e400}`: false, `{"a":[1,-1E400]}`: false,
		`{"a":{"b":1e309 }}`: false, `{"a":` + long + `}`: false, `{"a":"\\","b":1e400}`: false, `{"a":18446744073709551616}`: true,
	} {
		if _, err := Compact([]byte(raw)); (err == nil) != ok {
			t.Errorf("%.60s: %v", raw, err)
		}
	}
}
