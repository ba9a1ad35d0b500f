package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"freshet/server"
	"freshet/server/embed"
	"freshet/server/object"
)

// maxTextVectors bounds the vectors of one request that come from texts, in bytes.
const maxTextVectors = 64 << 20

// vectorReader reads the vectors of one request. A text in place of a vector becomes
// one of the right length, whose numbers request.embed puts in, for all texts of the
// request at once.
type vectorReader struct {
	r     *request
	query bool // the vectors are searched with, not stored
	texts []standIn
	bytes int64 // of the vectors of texts
}

// standIn is a text that stands for a vector.
type standIn struct {
	path   string // of the text in the request
	model  *embed.Model
	input  embed.Input
	vector server.Dense // to be filled
}

// add takes note of a text and returns the vector that is to come.
func (v *vectorReader) add(t standIn) (server.Vector, error) {
	n := 4 * int64(t.model.Dimension())
	if v.bytes+n > maxTextVectors {
		return nil, badRequest("the texts of one request may have vectors of %d bytes; there are too many", maxTextVectors)
	}
	// A small body can ask for much memory, which counts as that of a large one does.
	if err := v.r.large.step(v.bytes, v.bytes+n); err != nil {
		return nil, err
	}
	v.bytes += n
	t.input.Query = v.query
	t.vector = make(server.Dense, t.model.Dimension())
	v.texts = append(v.texts, t)
	return t.vector, nil
}

// within says which item of a list of the request has the texts that were read since
// there were n.
func (v *vectorReader) within(list string, i, n int) {
	for ; n < len(v.texts); n++ {
		v.texts[n].path = fmt.Sprintf("%s[%d].%s", list, i, v.texts[n].path)
	}
}

// embed puts in the vectors of the texts.
func (r *request) embed(v *vectorReader) error {
	if len(v.texts) == 0 {
		return nil
	}
	return r.waiting(func() error { return v.embed(r.ctx) })
}

func (v *vectorReader) embed(ctx context.Context) error {
	byModel := map[*embed.Model][]standIn{}
	var models []*embed.Model // in the order of their first texts
	for _, t := range v.texts {
		if byModel[t.model] == nil {
			models = append(models, t.model)
		}
		byModel[t.model] = append(byModel[t.model], t)
	}
	for _, m := range models {
		texts := byModel[m]
		inputs := make([]embed.Input, len(texts))
		for i := range texts {
			inputs[i] = texts[i].input
		}
		results, err := m.Embed(ctx, inputs)
		var fault *embed.FaultError
		switch {
		case errors.As(err, &fault):
			return &server.Error{Kind: server.Unavailable, Text: fault.Error(), RetryAfter: fault.RetryAfter}
		case err != nil:
			return err
		}
		for i, result := range results {
			if result.Err != nil {
				return badRequest("%s: %v", texts[i].path, result.Err)
			}
			copy(texts[i].vector, result.Vector)
		}
	}
	return nil
}

// listModels tells which models a document may name.
func listModels(r *request) (any, error) {
	models := []map[string]any{}
	for _, m := range r.s.o.Models.All() {
		models = append(models, map[string]any{"name": m.Name(), "dimension": m.Dimension()})
	}
	return map[string]any{"models": models}, nil
}

// document is one of Qdrant's inference objects: what to make a vector of.
type document struct {
	text, model *string
	// others are the members that may also name something else, as they are written.
	others map[string][]byte
}

// isDocument says whether the next value, of the member with a name, can only be that
// of a document.
func isDocument(o *object.Reader, name string) bool {
	return (name == "text" || name == "model") && o.Kind() == '"'
}

// mayBeDocument says whether a member is one of an inference object that may also be
// the name of a vector.
func mayBeDocument(name string) bool { return name == "options" || name == "image" || name == "object" }

func (d *document) read(o *object.Reader, name string) error {
	var s string
	switch name {
	case "text":
		d.text = &s
		return readString(o, &s)
	case "model":
		d.model = &s
		return readString(o, &s)
	}
	raw, err := o.Value()
	if d.others == nil {
		d.others = map[string][]byte{}
	}
	d.others[name] = bytes.Clone(raw)
	return err
}

// found says whether the members read were those of a document.
func (d *document) found() bool { return d.text != nil || d.model != nil }

// vector returns the vector that a document at path is to become.
func (d *document) vector(v *vectorReader, path string) (server.Vector, error) {
	t := standIn{path: path + ".text"}
	for _, other := range []string{"image", "object"} {
		if _, ok := d.others[other]; ok && d.text == nil {
			return nil, badRequest("%s: `%s` cannot be embedded here, only `text` can", path, other)
		}
	}
	switch {
	case d.text == nil:
		return nil, badFormat("missing field `text`")
	case d.model == nil:
		return nil, badFormat("missing field `model`")
	case *d.text == "":
		return nil, notValid(t.path, "text must not be empty")
	case len(*d.text) > embed.MaxText:
		return nil, notValid(t.path, "text has %d bytes, %d are allowed", len(*d.text), embed.MaxText)
	}
	t.input.Text = *d.text
	models := v.r.s.o.Models
	if t.model = models.Model(*d.model); t.model == nil {
		return nil, badRequest("Unknown embedding model %.100q; %s", *d.model, models.Names())
	}
	if raw, ok := d.others["options"]; ok {
		var err error
		if t.input.Options, err = embed.ParseOptions(raw); err != nil {
			return nil, badFormat("%s: %v", path, err)
		}
	}
	return v.add(t)
}

// named reads vectors by name, or a document in their place: only the whole object
// tells.
func (v *vectorReader) named(o *object.Reader, path string, vectors server.Vectors) error {
	var d document
	err := o.Members(func(name string) (err error) {
		if isDocument(o, name) || mayBeDocument(name) {
			return d.read(o, name)
		}
		vectors[name], err = v.vector(o, path+".?")
		return err
	})
	if err != nil {
		return err
	}
	if d.found() {
		if len(vectors) > 0 {
			return errNoVariant
		}
		vectors[""], err = d.vector(v, path)
		return err
	}
	for name, raw := range d.others {
		if vectors[name], err = v.vector(object.NewReader(raw), path+".?"); err != nil {
			return err
		}
	}
	return nil
}
