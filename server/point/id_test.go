package point

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestUnmarshalJSON(t *testing.T) {
	u := "936da01f-9abd-4d9d-80c7-02af85c822a8"
	for _, c := range []struct{ in, out string }{
		{`0`, `0`},
		{`18446744073709551615`, `18446744073709551615`},
		{`"doc-0"`, `"doc-0"`},
		{`"123"`, `"123"`},
		{`"` + u + `"`, `"` + u + `"`},
		{`"936DA01F9ABD4D9D80C702AF85C822A8"`, `"` + u + `"`},
		{`"urn:uuid:936DA01F-9abd-4d9d-80c7-02af85c822a8"`, `"` + u + `"`},
		{`"{936da01f-9abd-4d9d-80c7-02af85c822a8}"`, `"{936da01f-9abd-4d9d-80c7-02af85c822a8}"`},
		{`"936da01f-9abd-4d9d-80c7-02af85c822zz"`, `"936da01f-9abd-4d9d-80c7-02af85c822zz"`},
	} {
		var id ID
		if err := json.Unmarshal([]byte(c.in), &id); err != nil {
			t.Errorf("%s: %v", c.in, err)
			continue
		}
		if out, err := json.Marshal(id); err != nil || string(out) != c.out {
			t.Errorf("%s became %s (%v), want %s", c.in, out, err, c.out)
		}
	}
	for _, bad := range []string{
		`-1`, `1.5`, `1e3`, `18446744073709551616`, `""`, `null`, `true`, `[1]`, `{}`,
		`"` + strings.Repeat("x", MaxTextBytes+1) + `"`,
	} {
		var id ID
		if err := id.UnmarshalJSON([]byte(bad)); err == nil {
			t.Errorf("%.40s was accepted as %v", bad, id)
		}
	}
}

func TestParsePath(t *testing.T) {
	for in, want := range map[string]ID{
		"7":                    Number(7),
		"18446744073709551615": Number(math.MaxUint64),
		"18446744073709551616": {kind: text, text: "18446744073709551616"},
		"+7":                   {kind: text, text: "+7"},
		"a/b":                  {kind: text, text: "a/b"},
	} {
		if got, err := ParsePath(in); err != nil || got != want {
			t.Errorf("ParsePath(%q) = %v, %v", in, got, err)
		}
	}
	if _, err := ParsePath(""); err == nil {
		t.Error("an empty path segment was accepted")
	}
}

func TestOrder(t *testing.T) {
	mustParse := func(s string) ID {
		id, err := Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	want := []ID{
		Number(0), Number(9), Number(10), Number(math.MaxUint64),
		mustParse("00000000-0000-0000-0000-000000000001"), mustParse("ffffffff-0000-0000-0000-000000000000"),
		mustParse("10"), mustParse("9"), mustParse("a"), mustParse("ab"), mustParse("é"),
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, func(a, b ID) int { return bytes.Compare(a.AppendKey(nil), b.AppendKey(nil)) })
	if !slices.Equal(got, want) {
		t.Fatalf("sorted: %v", got)
	}
}

func FuzzKey(f *testing.F) {
	f.Add(Number(7).AppendKey(nil))
	f.Add(UUID([16]byte{1, 2, 3}).AppendKey(nil))
	f.Add([]byte("\x03doc"))
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, key []byte) {
		id, err := FromKey(key)
		if err != nil {
			return
		}
		if again := id.AppendKey(nil); string(again) != string(key) {
			t.Fatalf("%x became %x", key, again)
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`1`, `"a"`, `"936da01f9abd4d9d80c702af85c822a8"`, `-0`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var id, again ID
		if id.UnmarshalJSON(raw) != nil {
			return
		}
		if err := json.Unmarshal(id.AppendJSON(nil), &again); err != nil || again != id {
			t.Fatalf("%q: %v became %v (%v)", raw, id, again, err)
		}
	})
}
