package object_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"freshet/server/floats"
	"freshet/server/object"
)

// walk rebuilds a value from what the reader shows of it.
func walk(r *object.Reader, out *strings.Builder) error {
	switch r.Kind() {
	case '{':
		out.WriteByte('{')
		first := true
		err := r.Members(func(name string) error {
			if !first {
				out.WriteByte(',')
			}
			first = false
			key, err := json.Marshal(name)
			if err != nil {
				return err
			}
			out.Write(key)
			out.WriteByte(':')
			return walk(r, out)
		})
		out.WriteByte('}')
		return err
	case '[':
		out.WriteByte('[')
		err := r.Elements(func(i int) error {
			if i > 0 {
				out.WriteByte(',')
			}
			return walk(r, out)
		})
		out.WriteByte(']')
		return err
	default:
		value, err := r.Value()
		out.Write(value)
		return err
	}
}

func rebuild(raw string) (string, error) {
	var out strings.Builder
	r := object.NewLenientReader([]byte(raw))
	if err := walk(r, &out); err != nil {
		return "", err
	}
	return out.String(), r.End()
}

func TestReaderShowsWhatIsThere(t *testing.T) {
	for _, raw := range []string{
		`{}`, `[]`, `null`, `"a"`, `-1.5e3`, `{"a":[1,{"b":null}],"c":{"d":[[],{}]}}`, `{"a":1,"a":2}`,
	} {
		if got, err := rebuild(raw); err != nil || got != raw {
			t.Errorf("%s: got %s, %v", raw, got, err)
		}
	}
}

func TestReaderReportsTheOffset(t *testing.T) {
	for raw, want := range map[string]object.SyntaxError{
		``:                       {Offset: 0, EOF: true},
		`{"a":`:                  {Offset: 5, EOF: true},
		`{"a":1,}`:               {Offset: 7},
		`[1,]`:                   {Offset: 3},
		`[1 2]`:                  {Offset: 3},
		`[1`:                     {Offset: 2, EOF: true},
		`{"a":1]`:                {Offset: 6},
		`{"a" 1}`:                {Offset: 5},
		`{"a":NaN}`:              {Offset: 5},
		`{"a":"` + "\xff" + `"}`: {Offset: 6},
		`{} {}`:                  {Offset: 4},
	} {
		_, err := rebuild(raw)
		var syntax *object.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("%q: got %v", raw, err)
			continue
		}
		if syntax.EOF != want.EOF || syntax.Offset != want.Offset {
			t.Errorf("%q: got %+v, want %+v", raw, *syntax, want)
		}
	}
}

func TestReaderRefusesDuplicates(t *testing.T) {
	for raw, want := range map[string]string{
		`{"a":1,"b":{"a":2},"c":[{"a":3},{"a":4}]}`: "",
		`{"a":1,"b":2,"a":3}`:                       "a",
		`{"a":1,"\u0061":3}`:                        "a",
		`[1,{"b":{"":1,"":1}}]`:                     "",
		`{"b":[{"c":1,"c":1}]}`:                     "c",
	} {
		var out strings.Builder
		for _, err := range []error{walk(object.NewReader([]byte(raw)), &out), object.CheckUnique([]byte(raw))} {
			var twice object.DuplicateError
			if is := errors.As(err, &twice); twice.Name != want || is != (want != "" || strings.Contains(raw, `""`)) {
				t.Errorf("%s: got %v", raw, err)
			}
		}
	}
}

func FuzzReader(f *testing.F) {
	for _, seed := range []string{`{"a":[1,2],"b":{"c":"\u0041"}}`, `[`, `{"a":}`, "\xff", `{} 1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		rebuilt, err := rebuild(raw)
		if err != nil {
			return
		}
		// Raw, since float64 does not hold every number.
		var value json.RawMessage
		if err := json.Unmarshal([]byte(raw), &value); err != nil {
			t.Fatalf("%q was accepted: %v", raw, err)
		}
		if err := json.Unmarshal([]byte(rebuilt), &value); err != nil {
			t.Fatalf("%q became %q: %v", raw, rebuilt, err)
		}
	})
}

func TestReaderReadsFloats(t *testing.T) {
	wrong := func(err error) string {
		var syntax *object.SyntaxError
		switch {
		case err == nil:
			return ""
		case errors.As(err, &syntax):
			return "syntax"
		default:
			return err.Error()
		}
	}
	for raw, want := range map[string]struct {
		values []float32
		err    string
	}{
		` [1, -2.5e1 ,3] `: {[]float32{1, -25, 3}, ""},
		`[]`:               {[]float32{}, ""},
		`[1,null]`:         {nil, floats.ErrNull.Error()},
		`[1,[2]]`:          {nil, floats.ErrSyntax.Error()},
		`{"a":[1]}`:        {nil, floats.ErrSyntax.Error()},
		`[1e99]`:           {nil, floats.ErrRange.Error() + ": 1e99"},
		`[1,2}`:            {nil, "syntax"},
		`[1,]`:             {nil, "syntax"},
		`[01]`:             {nil, "syntax"},
		``:                 {nil, "syntax"},
	} {
		// What follows is read as if nothing had happened, unless it is not JSON at all.
		r := object.NewReader([]byte("[" + raw + `,true]`))
		err := r.Elements(func(i int) error {
			if i == 1 {
				if r.Kind() != 't' {
					t.Errorf("%s: what follows begins with %q", raw, r.Kind())
				}
				return r.Skip()
			}
			values, err := r.Floats(nil)
			if text := wrong(err); text != want.err {
				t.Errorf("%s: got %v, want %q", raw, err, want.err)
			}
			if err == nil && !slices.Equal(values, want.values) {
				t.Errorf("%s: got %v, want %v", raw, values, want.values)
			}
			if wrong(err) == "syntax" {
				return err
			}
			return nil
		})
		if got := wrong(err); got != "" && got != "syntax" || (got == "syntax") != (want.err == "syntax") {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func TestReaderKnowsNestedArrays(t *testing.T) {
	for raw, want := range map[string]bool{`[[1]]`: true, " [\n [": true, `[1,[2]]`: false, `[]`: false, `[`: false, `{"a":[]}`: false, ``: false} {
		if got := object.NewReader([]byte(raw)).Nested(); got != want {
			t.Errorf("%q: %v", raw, got)
		}
	}
}

func TestReaderBoundsTheDepth(t *testing.T) {
	_, err := rebuild(strings.Repeat("[", 10_001))
	var syntax *object.SyntaxError
	if !errors.As(err, &syntax) || syntax.EOF {
		t.Errorf("got %v", err)
	}
}
