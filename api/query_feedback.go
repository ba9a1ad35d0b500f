package api

import (
	"freshet/server"
	"freshet/server/object"
)

// feedback reads a query by what somebody thinks of examples.
func (v *vectorReader) feedback(o *object.Reader, path string, dst *server.SearchRequest) error {
	var q server.Feedback
	err := fields(o, map[string]func() error{
		"target": func() (err error) {
			q.Target, err = v.example(o, errNoExample)
			return err
		},
		"feedback": func() error {
			return elements(o, func(i int) error {
				if i == server.MaxJudged {
					return badRequest("relevance feedback may have %d examples", server.MaxJudged)
				}
				j, err := v.judged(o)
				q.Judged = append(q.Judged, j)
				return err
			})
		},
		"strategy": func() error { return readFeedbackStrategy(o, path+".strategy", &q) },
	}, "target", "feedback", "strategy")
	dst.Query = q
	return err
}

func (v *vectorReader) judged(o *object.Reader) (j server.Judged, err error) {
	err = fields(o, map[string]func() error{
		"example": func() (err error) {
			j.Example, err = v.example(o, errNoExample)
			return err
		},
		"score": func() error { return readFloat(o, &j.Score) },
	}, "example", "score")
	return j, err
}

// readFeedbackStrategy reads the only strategy there is, with its coefficients.
func readFeedbackStrategy(o *object.Reader, path string, q *server.Feedback) error {
	err := fields(o, map[string]func() error{"naive": func() error {
		return fields(o, map[string]func() error{
			"a": func() error { return readFloat(o, &q.A) },
			"b": func() error { return readFloat(o, &q.B) },
			"c": func() error { return readFloat(o, &q.C) },
		}, "a", "b", "c")
	}}, "naive")
	if err != nil {
		return err
	}
	if q.B < 0 {
		return notValid(path+".naive.b", "value %v invalid, must be 0.0 or larger", q.B)
	}
	return nil
}
