package decode

import "encoding/json"

// readQdrant reads what Qdrant's Kafka Connect sink takes: {"collection_name", "id",
// "vector", "payload"}, where vector is the unnamed one or holds vectors by name.
func readQdrant(w *row, value []byte) error {
	return members(value, func(field string, raw []byte) error {
		switch field {
		case "collection_name":
			if err := w.m.inCollection(raw); err != nil {
				return err
			}
		case "vector":
			return w.qdrantVectors(raw)
		case "payload":
			if string(raw) == "null" {
				return nil
			}
			if raw[0] != '{' {
				return Bad(Undecodable, "the payload is not a JSON object")
			}
			return members(raw, func(field string, raw []byte) error {
				w.addPayload(field, raw)
				return nil
			})
		}
		return w.around(field, raw)
	})
}

// inCollection checks that a record is for the collection that the source feeds.
func (m *Mapping) inCollection(raw []byte) error {
	var name string
	if err := json.Unmarshal(raw, &name); err != nil {
		return Bad(Undecodable, "the name of the collection is not text")
	}
	if name != m.collection && m.route == nil {
		return Bad(UnknownCollection, "the record is for the collection %.60q, the source feeds %q", name, m.collection)
	}
	return nil
}

func (w *row) qdrantVectors(raw []byte) error {
	if w.deletes {
		return nil
	}
	if raw[0] != '{' {
		return w.named("", raw)
	}
	return members(raw, w.named)
}

func (w *row) named(name string, raw []byte) error {
	if string(raw) == "null" {
		return nil
	}
	v, err := jsonVector(raw)
	if err != nil {
		return Bad(BadVector, "the vector %.60q: %v", name, err)
	}
	w.vectors[name] = v
	return nil
}
