package decode

import "freshet/server"

// readOpenSearch reads what OpenSearch's pull-based ingestion takes: {"_id",
// "_op_type", "_version", "_source"}.
func readOpenSearch(w *row, value []byte) error {
	idField := w.idField
	if w.m.id.place == byFormat {
		w.idField = "_id"
	}
	var source []byte
	err := members(value, func(field string, raw []byte) error {
		switch field {
		case "_source":
			source = raw
			return nil
		case "_op_type":
			switch unquoted(raw) {
			case "index":
			case "create":
				w.mode = server.InsertOnly
			case "delete":
				w.deletes = true
			default:
				return Bad(BadOperation, "the operation %.40s is not one of index, create, delete", raw)
			}
			return nil
		}
		return w.around(field, raw)
	})
	switch {
	case err != nil:
		return err
	case len(source) > 0 && source[0] == '{':
		if w.m.id.place == byFormat {
			idField = "" // a member id of the source is payload
		}
		w.idField = idField
		return w.fields(source)
	case w.deletes:
		return nil
	default:
		return Bad(Undecodable, "the value has no object in %q", "_source")
	}
}
