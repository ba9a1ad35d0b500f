package settings_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"freshet/ingest/settings"
)

type inner struct {
	Int   int     `yaml:"int"`
	Small int8    `yaml:"small"`
	Unsig uint16  `yaml:"unsig"`
	Float float64 `yaml:"float"`
}

type Base struct {
	Dotted string `yaml:"a.b"`
}

type size int64

func (s *size) UnmarshalText(text []byte) error {
	if _, err := fmt.Sscanf(string(text), "%dKiB", s); err != nil {
		return fmt.Errorf("%q is no size", text)
	}
	return nil
}

type outer struct {
	Base `yaml:",inline"`

	Bool    bool             `yaml:"bool"`
	Text    string           `yaml:"text"`
	List    []string         `yaml:"list"`
	Inner   inner            `yaml:"inner"`
	Pointer *inner           `yaml:"pointer"`
	Many    []inner          `yaml:"many"`
	Map     map[string]inner `yaml:"map"`
	Wait    time.Duration    `yaml:"wait"`
	Size    size             `yaml:"size"`
	Hidden  int              `yaml:"-"`
}

func TestRead(t *testing.T) {
	for _, x := range []struct{ raw, path, text string }{
		{`{"inner":{"int":"1"}}`, "inner.int", "it is a string, not an integer"},
		{`{"inner":{"int":1.5}}`, "inner.int", "it is the number 1.5, not an integer"},
		{`{"inner":{"int":1.0}}`, "inner.int", "it is the number 1.0, not an integer"},
		{`{"inner":{"int":true}}`, "inner.int", "it is a boolean, not an integer"},
		{`{"inner":{"int":18446744073709551615}}`, "inner.int", "18446744073709551615 is outside of the limits of the setting"},
		{`{"inner":{"small":128}}`, "inner.small", "128 is outside of the limits of the setting"},
		{`{"inner":{"unsig":-1}}`, "inner.unsig", "-1 is outside of the limits of the setting"},
		{`{"inner":{"float":"1e3"}}`, "inner.float", "it is a string, not a finite number"},
		{`inner: {float: .nan}`, "inner.float", "it is the number .nan, not a finite number"},
		{`inner: {float: -.inf}`, "inner.float", "it is the number -.inf, not a finite number"},
		{`{"bool":"true"}`, "bool", "it is a string, not a boolean"},
		{`{"bool":1}`, "bool", "it is an integer, not a boolean"},
		{`{"text":0123}`, "text", "it is an integer, not a string; quotes make it one"},
		{`{"text":true}`, "text", "it is a boolean, not a string; quotes make it one"},
		{`{"text":1e3}`, "text", "it is the number 1e3, not a string; quotes make it one"},
		{`{"inner":{"int":1e3}}`, "inner.int", "it is the number 1e3, not an integer"},
		{`{"inner":{"float":1e999}}`, "inner.float", "it is a string, not a finite number"},
		{`{"text":["a"]}`, "text", "it is an array, not a string"},
		{`{"list":"a"}`, "list", "it is a string, not an array"},
		{`{"list":["a",1]}`, "list[1]", "it is an integer, not a string; quotes make it one"},
		{`{"many":[{},{"int":""}]}`, "many[1].int", "it is a string, not an integer"},
		{`{"map":{"x":{"no":1}}}`, "map.x.no", "there is no such setting"},
		{`{"pointer":[]}`, "pointer", "it is an array, not an object"},
		{`{"wait":5}`, "wait", "it is an integer, not a duration such as 100ms"},
		{`{"size":"1MB"}`, "size", `"1MB" is no size`},
		{`{"size":[]}`, "size", "it is an array, not an integer"},
		{`{"hidden":1}`, "hidden", "there is no such setting"},
		{`{"-":1}`, "-", "there is no such setting"},
		{`{"a.b":1}`, "a.b", "it is an integer, not a string; quotes make it one"},
		{`[]`, "", "it is an array, not an object"},
		{`"x"`, "", "it is a string, not an object"},
		{"inner: &x {int: 1.5}\npointer: *x", "inner.int", "it is the number 1.5, not an integer"},
		{"inner: &x {int: 1}\npointer: {<<: *x, small: a}", "pointer.small", "it is a string, not an integer"},
		{"map: {x: &x {int: 1}}\nlist: [*x]", "list[0]", "it is an object, not a string"},
	} {
		var dst outer
		err := settings.Read([]byte(x.raw), &dst)
		var e *settings.Error
		if !errors.As(err, &e) || e.Path != x.path || e.Text != x.text {
			t.Errorf("%s: %v", x.raw, err)
		}
		if !reflect.DeepEqual(dst, outer{}) {
			t.Errorf("%s: left %+v", x.raw, dst)
		}
	}
}

func TestReadTakesBothForms(t *testing.T) {
	want := outer{
		Base: Base{"x"}, Bool: true, Text: "1", List: []string{"a", "b"}, Inner: inner{-1, 127, 65535, 1e3},
		Pointer: &inner{Float: 2}, Many: []inner{{Int: 1}}, Map: map[string]inner{"": {Int: 2}}, Wait: time.Second, Size: 2,
	}
	for _, raw := range []string{
		`{"a.b":"x","bool":true,"text":"1","list":["a","b"],"inner":{"int":-1,"small":127,"unsig":65535,"float":1e3},
		 "pointer":{"float":2},"many":[{"int":1}],"map":{"":{"int":2}},"wait":"1s","size":"2KiB"}`,
		"a.b: x\nbool: true\ntext: '1'\nlist: [a, b]\ninner:\n  int: -1\n  small: 127\n  unsig: 65535\n  float: 1e3\n" +
			"pointer:\n  float: 2\nmany:\n- int: 1\nmap:\n  '':\n    int: 2\nwait: 1s\nsize: 2KiB\n",
	} {
		var got outer
		got.Pointer = &inner{}
		if err := settings.Read([]byte(raw), &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", raw, got, err)
		}
	}
	for _, raw := range []string{"", "---\n", "# nothing\n", `{}`, `{"text":null,"inner":null,"many":null}`} {
		var got outer
		if err := settings.Read([]byte(raw), &got); err != nil || !reflect.DeepEqual(got, outer{}) {
			t.Errorf("%q: %+v, %v", raw, got, err)
		}
	}
}

// FuzzRead holds what is read against the JSON decoder, which is strict itself: what
// that refuses of a value's kind must not be taken.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{`{"inner":{"int":1.5}}`, `{"text":1}`, `{"list":["a"]}`, `{"map":{"a":{"float":1}}}`, `{"inner":{"int":"1"}}`} {
		f.Add([]byte(seed))
	}
	type same struct {
		Int  int      `yaml:"int" json:"int"`
		Text string   `yaml:"text" json:"text"`
		Bool bool     `yaml:"bool" json:"bool"`
		List []string `yaml:"list" json:"list"`
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var read, decoded same
		if !json.Valid(raw) || settings.Read(raw, &read) != nil {
			return
		}
		if err := json.Unmarshal(raw, &decoded); err != nil {
			t.Errorf("%q was read as %+v: %v", raw, read, err)
		}
	})
}
