package decode

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Operation says where a record tells what it does, in formats that do not say that
// themselves. Values are compared as text, true and 1 too; "" stands for none and null.
type Operation struct {
	From   string   `yaml:"from"`   // value.<field> or header.<name>
	Delete []string `yaml:"delete"` // values that delete the point
	Upsert []string `yaml:"upsert"` // values that write it; others are refused
}

// operation is an Operation that has been checked; the zero one says nothing.
type operation struct {
	from    ref
	deletes map[string]bool // by value
}

func parseOperation(o *Operation, format Format) (operation, error) {
	wrong := func(field, text string, args ...any) (operation, error) {
		return operation{}, &FieldError{"operation" + field, fmt.Sprintf(text, args...)}
	}
	if o == nil {
		return operation{}, nil
	}
	from, err := parseRef(o.From)
	switch {
	case err != nil || from.place != inValue && from.place != inHeader:
		return wrong(".from", "%q is not value.<field> or header.<name>", o.From)
	case format == Debezium || format == OpenSearch:
		return wrong("", "records in the format %s say themselves what they do", format)
	case format == Float32 && from.place == inValue:
		return wrong(".from", "values in the format %s have no fields", format)
	case len(o.Delete) == 0:
		return wrong(".delete", "needs at least one value")
	case len(o.Upsert) == 0:
		return wrong(".upsert", "needs at least one value")
	}
	deletes := map[string]bool{}
	for _, value := range o.Delete {
		deletes[value] = true
	}
	for _, value := range o.Upsert {
		if deletes[value] {
			return wrong(".upsert", "%q is among the values that delete, too", value)
		}
		deletes[value] = false
	}
	return operation{from, deletes}, nil
}

// decide finds out what a record does before it is read: of one that deletes neither
// vectors nor payload count.
func (w *row) decide(r *message) error {
	o := &w.m.operation
	if o.from.place == byFormat || w.format == Debezium || w.format == OpenSearch {
		return nil
	}
	var raw []byte
	if o.from.place == inHeader {
		raw, _ = header(r.Record, o.from.field)
	} else if w.format != Float32 {
		err := members(r.value, func(field string, value []byte) error {
			if field == o.from.field {
				raw = value
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	deletes, known := o.deletes[scalar(raw)]
	if !known {
		return Bad(BadOperation, "%s holds %.40q, which is not one of %s", o.from, raw, o.values())
	}
	w.deletes = deletes
	return nil
}

// scalar returns what a member or a header holds as text; "" for null.
func scalar(raw []byte) string {
	text := string(raw)
	switch quoted := unquoted(raw); {
	case quoted != "":
		return quoted
	case text == "null" || text == `""`:
		return ""
	default:
		return text
	}
}

func (o *operation) values() string {
	quoted := make([]string, 0, len(o.deletes))
	for _, value := range slices.Sorted(maps.Keys(o.deletes)) {
		quoted = append(quoted, fmt.Sprintf("%q", value))
	}
	return strings.Join(quoted, ", ")
}

// String names the place, for people.
func (r ref) String() string {
	if r.place == inHeader {
		return fmt.Sprintf("the header %q", r.field)
	}
	return fmt.Sprintf("the field %q", r.field)
}
