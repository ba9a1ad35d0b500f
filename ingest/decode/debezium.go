package decode

import "bytes"

// deletedField marks rows in Debezium's flattened form, as its
// ExtractNewRecordState writes them with delete.handling.mode=rewrite.
const deletedField = "__deleted"

// readDebezium reads a change event: {"before", "after", "op"}, in the envelope
// {"schema", "payload"} or without it, or the row alone with the member __deleted.
func readDebezium(w *row, value []byte) error {
	e, err := debeziumEvent(value)
	if err != nil {
		return err
	}
	if e.isEnveloped() {
		value = e.payload
		if e, err = debeziumEvent(value); err != nil {
			return err
		}
	}
	if !e.isChange() {
		return readFlattened(w, value, e.deleted)
	}
	image := e.after
	switch op := unquoted(e.op); op {
	case "c", "u", "r":
	case "d":
		w.deletes = true
		image = e.before
	default:
		return Bad(BadOperation, "the operation %.40s is not one of c, u, r, d", e.op)
	}
	if w.m.version == byField || w.m.id.place == inValue || w.m.route != nil || w.m.ttl.from.place == inValue {
		err := members(value, func(field string, raw []byte) error {
			if isEventPart(field) {
				return nil
			}
			return w.around(field, raw)
		})
		if err != nil {
			return err
		}
	}
	switch {
	case len(image) > 0 && image[0] == '{':
		return w.fields(image)
	case w.deletes:
		return nil // the key says which
	default:
		return Bad(Undecodable, "the event has no row in %q", "after")
	}
}

// event holds the members of a change event.
type event struct {
	before, after, op, schema, payload, deleted []byte
	others                                      int
}

func debeziumEvent(value []byte) (event, error) {
	var e event
	return e, members(value, func(field string, raw []byte) error {
		e.member(field, raw)
		return nil
	})
}

func (e *event) member(field string, raw []byte) {
	switch field {
	case "before":
		e.before = raw
	case "after":
		e.after = raw
	case "op":
		e.op = raw
	case "schema":
		e.schema = raw
	case "payload":
		e.payload = raw
	case deletedField:
		e.deleted = raw
	default:
		e.others++
	}
}

// isChange says whether the members are those of a change event.
func (e *event) isChange() bool { return e.op != nil && (e.after != nil || e.before != nil) }

// isEnveloped says whether the event is in an envelope with its schema.
func (e *event) isEnveloped() bool { return e.schema != nil && e.payload != nil && e.others == 0 }

// isEventPart says whether a member of an event has parts of its own.
func isEventPart(field string) bool {
	switch field {
	case "before", "after", "source", "transaction":
		return true
	}
	return false
}

func readFlattened(w *row, value, deleted []byte) error {
	switch string(deleted) {
	case "", "null", "false", `"false"`:
	case "true", `"true"`:
		w.deletes = true
	default:
		return Bad(BadOperation, "the field %q holds %.40s, not true or false", deletedField, deleted)
	}
	return members(value, func(field string, raw []byte) error {
		if field == deletedField {
			return nil
		}
		return w.member(field, raw)
	})
}

// unquoted returns the text of a JSON string without escapes, "" for anything else.
func unquoted(raw []byte) string {
	if len(raw) < 2 || raw[0] != '"' || bytes.IndexByte(raw, '\\') >= 0 {
		return ""
	}
	return string(raw[1 : len(raw)-1])
}
