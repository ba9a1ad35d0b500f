package formula

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"freshet/server/filter"
	"freshet/server/payload"
	"freshet/server/point"
)

// testPoint is in prefetch 0 with a score of 0.5, in prefetch 2 with 4, and not in 1.
type testPoint struct{ doc map[string]any }

func (p testPoint) Score(prefetch int) (float32, bool) {
	s, ok := map[int]float32{0: 0.5, 2: 4}[prefetch]
	return s, ok
}
func (p testPoint) Payload() (map[string]any, error)     { return p.doc, nil }
func (p testPoint) Holds(f *filter.Filter) (bool, error) { return f.Match(p) }
func (p testPoint) ID() (point.ID, error)                { return point.Number(7), nil }
func (p testPoint) HasVector(string) bool                { return false }

const testPayload = `{"n": 3, "x": 2.5, "zero": 0, "one": [8], "two": [1, 2], "text": "a", "null": null,
	"nest": {"a b": 6}, "at": "2024-01-01T00:00:01.5Z", "place": {"lon": 13.4, "lat": 52.5}, "huge": 1e300, "yes": true}`

func point7(t testing.TB) testPoint {
	doc, err := payload.Decode([]byte(testPayload))
	if err != nil {
		t.Fatal(err)
	}
	return testPoint{doc}
}

const testDefaults = `{"gone": 10, "$score[1]": -1, "gone.at": "1970-01-01T00:01:00Z", "gone.place": {"lon": 13.4, "lat": 52.5}, "x": 99}`

func TestEval(t *testing.T) {
	p := point7(t)
	for _, test := range []struct {
		formula string
		want    float64
	}{
		{`1.5`, 1.5},
		{`-2`, -2},
		{`"$score"`, 0.5},
		{`"$score[0]"`, 0.5},
		{`"$score[1]"`, -1},
		{`"$score[2]"`, 4},
		{`"$score[3]"`, 0},
		{`"n"`, 3},
		{`"x"`, 2.5},
		{`"one"`, 8},
		{`"one[0]"`, 8},
		{`"two[1]"`, 2},
		{`"nest.\"a b\""`, 6},
		{`"gone"`, 10},
		{`{"sum": []}`, 0},
		{`{"sum": [1, 2, "n"]}`, 6},
		{`{"mult": []}`, 1},
		{`{"mult": [2, "n", "x"]}`, 15},
		{`{"mult": [0, "missing"]}`, 0},
		{`{"neg": "n"}`, -3},
		{`{"abs": {"neg": "n"}}`, 3},
		{`{"div": {"left": "n", "right": 2}}`, 1.5},
		{`{"div": {"left": 1, "right": "zero", "by_zero_default": 7}}`, 7},
		{`{"div": {"left": 1, "right": "zero", "by_zero_default": 0}}`, 0},
		{`{"div": {"left": 0, "right": "missing"}}`, 0},
		{`{"sqrt": 2.25}`, 1.5},
		{`{"pow": {"base": 2, "exponent": -1}}`, 0.5},
		{`{"exp": 0}`, 1},
		{`{"ln": {"exp": 3}}`, 3},
		{`{"log10": 1000}`, 3},
		{`{"datetime": "1970-01-02"}`, 86400},
		{`{"sum": [{"datetime_key": "at"}, {"neg": {"datetime": "2024-01-01"}}]}`, 1.5},
		{`{"datetime_key": "gone.at"}`, 60},
		{`{"geo_distance": {"origin": {"lon": 13.4, "lat": 52.5}, "to": "place"}}`, 0},
		{`{"geo_distance": {"origin": {"lon": 13.4, "lat": 51.5}, "to": "gone.place"}}`, math.Pi / 180 * 6371008.8},
		{`{"key": "n", "match": {"value": 3}}`, 1},
		{`{"key": "n", "match": {"value": 4}}`, 0},
		{`{"must": [{"key": "n", "match": {"value": 3}}]}`, 1},
		{`{"must_not": [{"has_id": [7]}]}`, 0},
		{`{"lin_decay": {"x": 3}}`, 0},
		{`{"lin_decay": {"x": 0.5}}`, 0.75},
		{`{"lin_decay": {"x": 15, "target": 20, "scale": 10, "midpoint": 0.2}}`, 0.6},
		{`{"exp_decay": {"x": 2}}`, 0.25},
		{`{"exp_decay": {"x": "n", "target": {"sum": ["n", 10]}, "scale": 10, "midpoint": 0.3}}`, 0.3},
		{`{"gauss_decay": {"x": 2}}`, 0.0625},
		{`{"gauss_decay": {"x": 5, "scale": 5, "midpoint": 0.3, "target": null}}`, 0.3},
		{`{"gauss_decay": {"x": "huge"}}`, 0},
	} {
		f, err := Parse(json.RawMessage(test.formula), json.RawMessage(testDefaults))
		if err != nil {
			t.Errorf("%s: %v", test.formula, err)
			continue
		}
		got, err := f.Eval(p)
		if err != nil || math.Abs(float64(got)-test.want) > 1e-6*max(1, math.Abs(test.want)) {
			t.Errorf("%s is %v, %v; want %v", test.formula, got, err, test.want)
		}
	}
}

func TestPointsWithoutANumber(t *testing.T) {
	p := point7(t)
	const nothing = "No value found in a payload nor defaults"
	for _, test := range []struct{ formula, want string }{
		{`{"div": {"left": 1, "right": "zero"}}`, "The expression 1/0 = inf produced a non-finite number"},
		{`{"div": {"left": -2.5, "right": "zero"}}`, "The expression -2.5/0 = -inf produced a non-finite number"},
		{`{"sqrt": -1}`, "The expression √-1 = NaN produced a non-finite number"},
		{`{"ln": 0}`, "The expression ln(0) = -inf produced a non-finite number"},
		{`{"log10": -1}`, "The expression log10(-1) = NaN produced a non-finite number"},
		{`{"exp": 1000}`, "The expression exp(1000) = inf produced a non-finite number"},
		{`{"pow": {"base": -8, "exponent": 0.5}}`, "The expression -8^0.5 = NaN produced a non-finite number"},
		{`{"mult": [1e30, 1e30]}`, "as f32 = inf"},
		{`{"mult": ["huge", "huge"]}`, "inf as f32 = inf"},
		{`"missing"`, "Expected number value for missing in the payload and/or in the formula defaults. Error: " + nothing},
		{`"null"`, nothing},
		{`"text"`, "Error: Value is not a number"},
		{`"yes"`, "Error: Value is not a number"},
		{`"two"`, "Error: Value is not a number"},
		{`{"datetime_key": "missing"}`, "Expected datetime value for missing in"},
		{`{"datetime_key": "text"}`, "Error: Value is not a datetime"},
		{`{"geo_distance": {"origin": {"lon": 0, "lat": 0}, "to": "missing"}}`, "Expected geo point value for missing in"},
		{`{"geo_distance": {"origin": {"lon": 0, "lat": 0}, "to": "n"}}`, "Error: Value is not a geo point"},
	} {
		f, err := Parse(json.RawMessage(test.formula), nil)
		if err != nil {
			t.Errorf("%s: %v", test.formula, err)
			continue
		}
		_, err = f.Eval(p)
		var value *ValueError
		if !errors.As(err, &value) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %s", test.formula, err, test.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	deep := strings.Repeat(`{"neg":`, MaxDepth+1) + "1" + strings.Repeat("}", MaxDepth+1)
	wide := `{"sum":[1` + strings.Repeat(",1", MaxExpressions) + `]}`
	for _, test := range []struct{ formula, defaults, want string }{
		{`null`, "", "Expression"},
		{`true`, "", "Expression"},
		{`[1]`, "", "Expression"},
		{``, "", "Expression"},
		{`{"foo": 1}`, "", "unknown field `foo`"},
		{`{"sum": 1}`, "", "Expression"},
		{`{"sum": [null]}`, "", "Expression"},
		{`{"div": {"left": 1}}`, "", "missing field `right`"},
		{`{"pow": {"exponent": 1}}`, "", "missing field `base`"},
		{`{"lin_decay": {}}`, "", "missing field `x`"},
		{`{"lin_decay": {"x": 1, "scale": 0}}`, "", "scale"},
		{`{"exp_decay": {"x": 1, "midpoint": 1}}`, "", "midpoint"},
		{`{"gauss_decay": {"x": 1, "midpoint": 0}}`, "", "midpoint"},
		{`{"gauss_decay": {"x": 1, "scale": 1e-200}}`, "", "too small"},
		{`1e999`, "", "out of range"},
		{`"a["`, "", "Invalid json path"},
		{`"$score[x]"`, "", "$score[x]"},
		{`"$scores"`, "", "$scores"},
		{`"$rank"`, "", "$rank"},
		{`{"datetime": "tomorrow"}`, "", "not a datetime"},
		{`{"geo_distance": {"to": "a"}}`, "", "missing field `origin`"},
		{`{"geo_distance": {"origin": {"lon": 0, "lat": 0}}}`, "", "missing field `to`"},
		{`{"geo_distance": {"origin": {"lon": 0, "lat": 91}, "to": "a"}}`, "", "within [-90;90]"},
		{`1`, `[]`, "defaults"},
		{`1`, `{"a[": 1}`, "Invalid json path"},
		{deep, "", "recursion limit"},
		{wide, "", "8192 expressions"},
	} {
		if _, err := Parse(json.RawMessage(test.formula), json.RawMessage(test.defaults)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.80s with %s: %v, want %s", test.formula, test.defaults, err, test.want)
		}
	}
}

// FuzzFormula looks for formulas that panic, or whose score is not finite.
func FuzzFormula(f *testing.F) {
	for _, s := range []string{
		`1`, `"$score[1]"`, `"n"`, `{"sum": ["$score", {"mult": [5, {"must": [{"key": "n", "match": {"value": 3}}]}]}]}`,
		`{"div": {"left": "n", "right": {"pow": {"base": "x", "exponent": 2}}, "by_zero_default": 1}}`,
		`{"gauss_decay": {"x": {"geo_distance": {"origin": {"lon": 1, "lat": 2}, "to": "place"}}, "scale": 5000}}`,
		`{"exp_decay": {"x": {"datetime_key": "at"}, "target": {"datetime": "2024-01-01"}, "scale": 3600, "midpoint": 0.1}}`,
		`{"ln": {"abs": {"sqrt": {"exp": {"neg": {"log10": "huge"}}}}}}`,
	} {
		f.Add(s, testDefaults)
	}
	p := point7(f)
	f.Fuzz(func(t *testing.T, formula, defaults string) {
		parsed, err := Parse(json.RawMessage(formula), json.RawMessage(defaults))
		if err != nil {
			return
		}
		score, err := parsed.Eval(p)
		if err == nil && !finite(float64(score)) {
			t.Errorf("%s is %v", formula, score)
		}
	})
}
