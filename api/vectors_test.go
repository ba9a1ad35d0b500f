package api

import (
	"errors"
	"net/http"
	"testing"

	"freshet/server"
	"freshet/server/object"
)

func TestVectorForms(t *testing.T) {
	const mustFit = "Validation error: must be the same length as indices [{}]"
	for _, x := range []struct{ raw, want, err string }{
		{raw: `[1, 2.5,-3e-7]`, want: `[1.0,2.5,-3e-07]`},
		{raw: `[[1,2],[3,4], [5,6] ]`, want: `[[1.0,2.0],[3.0,4.0],[5.0,6.0]]`},
		{raw: ` [ [1] ] `, want: `[[1.0]]`},
		{raw: `{"indices":[9,2],"values":[1,2]}`, want: `{"indices":[2,9],"values":[2.0,1.0]}`},
		{raw: `{"values":[0],"more":1,"indices":[4294967295]}`, want: `{"indices":[4294967295],"values":[0.0]}`},
		{raw: `{"indices":[],"values":[]}`, want: `{"indices":[],"values":[]}`},
		{raw: `[]`, err: `at.vector: dense vector must not be empty`},
		{raw: `[[]]`, err: `at.data: all vectors must be non-empty`},
		{raw: `[[1,2],[1]]`, err: `at.values: ` + mustFit},
		{raw: `[[1],2]`, err: errNoVariant.Error()},
		{raw: `[1,[2]]`, err: errNoVariant.Error()},
		{raw: `[[[1]]]`, err: errNoVariant.Error()},
		{raw: `[1,null]`, err: errNoVariant.Error()},
		{raw: `"a"`, err: errNoVariant.Error()},
		{raw: `7`, err: errNoVariant.Error()},
		{raw: `[[1e39]]`, err: `Format error in JSON body: at.vector: number out of the range of 32-bit floats: 1e39`},
		{raw: `{}`, err: errNoVariant.Error()},
		{raw: `{"indices":[1]}`, err: errNoVariant.Error()},
		{raw: `{"indices":{},"values":[1]}`, err: errNoVariant.Error()},
		{raw: `{"indices":[-1],"values":[1]}`, err: errNoVariant.Error()},
		{raw: `{"indices":[4294967296],"values":[1]}`, err: errNoVariant.Error()},
		{raw: `{"indices":[1.0],"values":[1]}`, err: errNoVariant.Error()},
		{raw: `{"indices":[1],"values":["a"]}`, err: errNoVariant.Error()},
		{raw: `{"indices":[2,2],"values":[1,2]}`, err: `at.indices: Validation error: must be unique [{}]`},
		{raw: `{"indices":[2],"values":[1,2]}`, err: `at.values: ` + mustFit},
	} {
		var v server.Vector
		err := parse([]byte(x.raw), func(o *object.Reader) (err error) {
			v, err = new(vectorReader).vector(o, "at")
			return err
		})
		switch got := appendVector(nil, v); {
		case x.err != "" && (err == nil || err.Error() != x.err):
			t.Errorf("%s: %s, %v instead of %s", x.raw, got, err, x.err)
		case x.err == "" && (err != nil || string(got) != x.want):
			t.Errorf("%s: %s, %v", x.raw, got, err)
		}
	}
}

func TestQueryVectors(t *testing.T) {
	for raw, want := range map[string]string{
		`{"query":{"indices":[3,1],"values":[1,2]}}`:             `{"indices":[1,3],"values":[2.0,1.0]}`,
		`{"query":{"nearest":{"indices":[3,1],"values":[1,2]}}}`: `{"indices":[1,3],"values":[2.0,1.0]}`,
		`{"query":[[1,2],[3,4]]}`:                                `[[1.0,2.0],[3.0,4.0]]`,
		`{"query":{"nearest":[1,2]}}`:                            `[1.0,2.0]`,
		`{"query":{"indices":[3,1]}}`:                            "",
		`{"query":{"values":[3,1]}}`:                             "",
	} {
		var q server.SearchRequest
		err := parse([]byte(raw), func(o *object.Reader) (err error) {
			q, err = new(searchReader).query(o, "internal")
			return err
		})
		var status *statusError
		switch {
		case want == "" && (!errors.As(err, &status) || status.status != http.StatusBadRequest):
			t.Errorf("%s: %v", raw, err)
		case want != "" && (err != nil || string(appendVector(nil, q.Vector)) != want):
			t.Errorf("%s: %s, %v", raw, appendVector(nil, q.Vector), err)
		}
	}
}
