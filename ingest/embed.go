package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"freshet/ingest/decode"
	"freshet/server"
	"freshet/server/embed"
	"freshet/server/object"
)

// Embedding says of what text a model makes a vector.
type Embedding struct {
	Model string `yaml:"model"` // by its name in the configuration
	Text  string `yaml:"text"`  // value.<field>, or a text with ${value.<field>} in it
}

// template is a text with fields of the value in it.
type template []piece

// piece is a text as it is or a field.
type piece struct{ literal, field string }

func parseTemplate(s string) (template, error) {
	if field, ok := strings.CutPrefix(s, "value."); ok && field != "" && !strings.Contains(s, "${") {
		return template{{field: field}}, nil
	}
	var t template
	n, ok := decode.Placeholders(s, func(text string) { t = append(t, piece{literal: text}) }, func(name string) bool {
		field, isValue := strings.CutPrefix(name, "value.")
		t = append(t, piece{field: field})
		return isValue && field != ""
	})
	switch {
	case !ok:
		return nil, fmt.Errorf("%.100q has a ${ that is not that of ${value.<field>}", s)
	case n == 0:
		return nil, fmt.Errorf("%.100q is not value.<field> or a text with ${value.<field>} in it", s)
	}
	return t, nil
}

// fill returns the text for a value's members. A field that is missing or null is left
// out, but one of them has to be there.
func (t template) fill(members map[string]json.RawMessage) (string, error) {
	var b strings.Builder
	var missing []string
	fields := 0
	for _, p := range t {
		if p.field == "" {
			b.WriteString(p.literal)
			continue
		}
		fields++
		raw := members[p.field]
		switch {
		case len(raw) == 0 || raw[0] == 'n':
			missing = append(missing, p.field)
		case raw[0] == '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return "", decode.Bad(decode.NoText, "the field %q: %v", p.field, err)
			}
			b.WriteString(s)
		case raw[0] == '[' || raw[0] == '{':
			return "", decode.Bad(decode.NoText, "the field %q holds no text", p.field)
		default:
			b.Write(raw)
		}
	}
	switch {
	case len(missing) == fields:
		return "", decode.Bad(decode.NoText, "the value has no %s", quoted(missing))
	case b.Len() == 0:
		return "", decode.Bad(decode.NoText, "the text is empty")
	}
	return b.String(), nil
}

func quoted(fields []string) string {
	list := make([]string, len(fields))
	for i, f := range fields {
		list[i] = fmt.Sprintf("%q", f)
	}
	return strings.Join(list, ", ")
}

// textFields lists the fields that vectors are made of. What is wrong with a template
// is told elsewhere.
func (s *Source) textFields() []string {
	var fields []string
	for _, e := range s.Embed {
		t, _ := parseTemplate(e.Text)
		for _, p := range t {
			if p.field != "" {
				fields = append(fields, p.field)
			}
		}
	}
	return fields
}

// withTexts returns which members have to be in the payload until the vectors are made.
func withTexts(p decode.Payload, fields []string) decode.Payload {
	isText := func(field string) bool { return slices.Contains(fields, field) }
	p.Exclude = slices.DeleteFunc(slices.Clone(p.Exclude), isText)
	if len(p.Include) > 0 {
		p.Include = slices.Concat(p.Include, fields)
	}
	return p
}

func (s *Source) validateEmbed(report func(field, format string, args ...any)) {
	for _, name := range slices.Sorted(maps.Keys(s.Embed)) {
		path := fmt.Sprintf("embed[%q]", name)
		e := s.Embed[name]
		if e.Model == "" {
			report(path+".model", "is needed")
		}
		t, err := parseTemplate(e.Text)
		if err != nil {
			report(path+".text", "%v", err)
		}
		if _, ok := s.Vectors[name]; ok {
			report(path, "the vector is in the records already, as vectors[%q] says", name)
		}
		for _, p := range t {
			if p.field != "" && s.ID == "value."+p.field {
				report(path+".text", "the field %q is the id, which is no text", p.field)
			}
		}
	}
}

// embedder makes the vectors of records of their texts.
type embedder struct {
	vectors []textVector    // by name
	drop    map[string]bool // fields that are not to be in the payload any more
}

// textVector is a vector that is made of texts.
type textVector struct {
	name  string
	model *embed.Model
	text  template
}

// newEmbedder returns the embedder of a valid source, nil if it has no texts.
func newEmbedder(s *Source, models *embed.Models) (*embedder, error) {
	if len(s.Embed) == 0 {
		return nil, nil
	}
	e := &embedder{drop: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(s.Embed)) {
		model := models.Model(s.Embed[name].Model)
		if model == nil {
			return nil, invalid(fmt.Sprintf("embed[%q].model", name), "%.100q is no model of the configuration; %s", s.Embed[name].Model, models.Names())
		}
		t, err := parseTemplate(s.Embed[name].Text)
		if err != nil {
			return nil, invalid(fmt.Sprintf("embed[%q].text", name), "%v", err)
		}
		e.vectors = append(e.vectors, textVector{name, model, t})
	}
	for _, field := range s.textFields() {
		if slices.Contains(s.Payload.Exclude, field) || len(s.Payload.Include) > 0 && !slices.Contains(s.Payload.Include, field) {
			e.drop[field] = true
		}
	}
	return e, nil
}

// fits tells whether a collection takes the models' vectors. That it does not is no
// fault of the records.
func (e *embedder) fits(c *server.Collection) error {
	if e == nil {
		return nil
	}
	named := c.Config().Vectors.Named
	for _, v := range e.vectors {
		params, ok := named[v.name]
		switch {
		case !ok:
			return fmt.Errorf("the collection has no dense vector %q for the model %q", v.name, v.model.Name())
		case params.Size != v.model.Dimension():
			return fmt.Errorf("the model %q has %d dimensions, the collection's vector %q has %d", v.model.Name(), v.model.Dimension(), v.name, params.Size)
		}
	}
	return nil
}

// parsed is what was read of a record.
type parsed struct {
	decode.Decoded
	err error
}

// embed gives the points of a batch their vectors. A record without a usable text gets
// an error of its own; one about all is of the endpoint or the context.
func (e *embedder) embed(ctx context.Context, batch []parsed) error {
	type wish struct{ record, vector int }
	inputs := map[*embed.Model][]embed.Input{}
	wishes := map[*embed.Model][]wish{}
	var models []*embed.Model // in the order of their first texts
	for i := range batch {
		p := &batch[i]
		if p.err != nil || p.Op.Kind != server.Upsert {
			continue
		}
		texts, err := e.texts(&p.Op.Points[0])
		if err != nil {
			p.err = err
			continue
		}
		for j, text := range texts {
			m := e.vectors[j].model
			if inputs[m] == nil {
				models = append(models, m)
			}
			inputs[m] = append(inputs[m], embed.Input{Text: text})
			wishes[m] = append(wishes[m], wish{i, j})
		}
	}
	for _, m := range models {
		results, err := m.Embed(ctx, inputs[m])
		if err != nil {
			return err
		}
		for i, w := range wishes[m] {
			p, name := &batch[w.record], e.vectors[w.vector].name
			if err := results[i].Err; err != nil {
				p.err = decode.Bad(decode.EmbeddingRefused, "the vector %q: %v", name, err)
				continue
			}
			p.Op.Points[0].Vectors[name] = server.Dense(results[i].Vector)
		}
	}
	return nil
}

// texts returns the text of each vector, and takes out of the payload what was there
// only for them.
func (e *embedder) texts(p *server.Point) ([]string, error) {
	var members map[string]json.RawMessage
	if len(p.Payload) > 0 {
		var err error
		if members, err = object.Split(p.Payload); err != nil {
			return nil, decode.Bad(decode.Undecodable, "the payload: %v", err)
		}
	}
	texts := make([]string, len(e.vectors))
	for i, v := range e.vectors {
		var err error
		if texts[i], err = v.text.fill(members); err != nil {
			return nil, err
		}
	}
	if p.Vectors == nil {
		p.Vectors = server.Vectors{}
	}
	return texts, e.trim(p)
}

func (e *embedder) trim(p *server.Point) error {
	if len(e.drop) == 0 || len(p.Payload) == 0 {
		return nil
	}
	kept := []byte{'{'}
	o := object.NewReader(p.Payload)
	err := o.Members(func(name string) error {
		raw, err := o.Value()
		if err != nil || e.drop[name] {
			return err
		}
		if len(kept) > 1 {
			kept = append(kept, ',')
		}
		quoted, err := json.Marshal(name)
		kept = append(append(append(kept, quoted...), ':'), raw...)
		return err
	})
	if err != nil {
		return decode.Bad(decode.Undecodable, "the payload: %v", err)
	}
	if len(kept) == 1 {
		p.Payload = nil
		return nil
	}
	kept = append(kept, '}')
	p.Payload = kept
	return nil
}
