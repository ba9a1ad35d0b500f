package api

import (
	"encoding/json"

	"freshet/server"
	"freshet/server/object"
	"freshet/server/payload"
)

// operation reads the body of one kind of write.
type operation func(v *vectorReader, o *object.Reader) (server.Op, error)

// plain makes an operation of the reader of one without vectors.
func plain(read func(o *object.Reader) (server.Op, error)) operation {
	return func(_ *vectorReader, o *object.Reader) (server.Op, error) { return read(o) }
}

var (
	upsertPoints  = tableOr(server.Upsert, write(readUpsert))
	updateVectors = tableOr(server.UpdateVectors, write(readUpdateVectors))
)

// write handles a request that is one operation.
func write(read operation) handler {
	return func(r *request) (any, error) {
		return r.apply(r.json(func(v *vectorReader, o *object.Reader, ops *[]server.Op) error {
			op, err := read(v, o)
			*ops = append(*ops, op)
			return err
		}), func(results []updateResult) any { return results[0] })
	}
}

// operations names the members of a batch.
var operations = map[string]operation{
	"upsert":            readUpsert,
	"delete":            plain(readDelete),
	"set_payload":       plain(readSetPayload),
	"overwrite_payload": plain(readOverwritePayload),
	"delete_payload":    plain(readDeletePayload),
	"clear_payload":     plain(readClearPayload),
	"update_vectors":    readUpdateVectors,
	"delete_vectors":    plain(readDeleteVectors),
}

// batchPoints applies a list of operations in order, in one commit.
func batchPoints(r *request) (any, error) {
	results, err := r.apply(r.json(func(v *vectorReader, o *object.Reader, ops *[]server.Op) error {
		return fields(o, map[string]func() error{"operations": func() error {
			return elements(o, func(i int) error {
				texts := len(v.texts)
				op, err := readOperation(v, o)
				*ops = append(*ops, op)
				v.within("operations", i, texts)
				return inItem(i, err)
			})
		}}, "operations")
	}), func(results []updateResult) any { return results })
	return results, ofItem("operations", err)
}

func readOperation(v *vectorReader, o *object.Reader) (op server.Op, err error) {
	if o.Kind() != '{' {
		return op, mismatch(o, "a map")
	}
	found := false
	err = o.Members(func(name string) error {
		read := operations[name]
		if read == nil || found {
			return o.Skip()
		}
		found = true
		op, err = read(v, o)
		return err
	})
	if err == nil && !found {
		err = badFormat("data did not match any variant of untagged enum UpdateOperation")
	}
	return op, err
}

// json reads operations of a body that is JSON.
func (r *request) json(read func(*vectorReader, *object.Reader, *[]server.Op) error) func(*vectorReader, *[]server.Op) error {
	return func(v *vectorReader, ops *[]server.Op) error {
		return r.parse(func(o *object.Reader) error { return read(v, o, ops) })
	}
}

// apply reads operations, applies them and answers with a result for each.
func (r *request) apply(read func(*vectorReader, *[]server.Op) error, answer func([]updateResult) any) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	wait, err := r.wait()
	if err != nil {
		return nil, err
	}
	if err := r.ordering(); err != nil {
		return nil, err
	}
	if err := r.admitTimeout(c); err != nil {
		return nil, err
	}
	ops := []server.Op{}
	v := &vectorReader{r: r}
	if err := read(v, &ops); err != nil {
		return nil, err
	}
	if len(ops) == 0 {
		return answer([]updateResult{}), nil
	}
	if err := c.AdmitWrites(ops); err != nil {
		return nil, err
	}
	if err := r.embed(v); err != nil {
		return nil, err
	}
	// A client that does not wait is not told about points that do not exist: all else
	// that it asked for is done.
	applied, err := c.Apply(r.ctx, server.Batch{Ops: ops, Sync: true, Lenient: !wait})
	if err != nil {
		return nil, err
	}
	results := make([]updateResult, len(ops))
	for i := range results {
		results[i] = newUpdateResult(applied.Operation-uint64(len(ops)-1-i), wait)
	}
	return answer(results), nil
}

// errNoSelector is what an operation gets that does not say which points.
var errNoSelector = badFormat("Either list of point ids or filter must be provided")

// selecting adds the members that select points.
func selecting(o *object.Reader, op *server.Op, known map[string]func() error) map[string]func() error {
	known["points"] = func() error { return readIDs(o, &op.Select.IDs) }
	known["filter"] = func() error { return readFilter(o, "filter", &op.Select.Filter) }
	known["shard_key"] = func() error { return readSharding(o) }
	return known
}

func readSelection(o *object.Reader, op *server.Op, none error, known map[string]func() error) error {
	if err := fields(o, selecting(o, op, known)); err != nil {
		return err
	}
	if op.Select.IDs == nil && op.Select.Filter == nil {
		return none
	}
	return nil
}

var errNoPointsSelector = badFormat("data did not match any variant of untagged enum PointsSelector")

func readDelete(o *object.Reader) (server.Op, error) {
	op := server.Op{Kind: server.Delete}
	err := readSelection(o, &op, errNoPointsSelector, map[string]func() error{})
	return op, err
}

func readClearPayload(o *object.Reader) (server.Op, error) {
	op := server.Op{Kind: server.ClearPayload}
	err := readSelection(o, &op, errNoPointsSelector, map[string]func() error{})
	return op, err
}

func readDeleteVectors(o *object.Reader) (server.Op, error) {
	op := server.Op{Kind: server.DeleteVectors}
	err := readSelection(o, &op, errNoSelector, map[string]func() error{
		"vector": func() error { return readStrings(o, &op.Names) },
	})
	if err == nil && op.Names == nil {
		err = badFormat("missing field `vector`")
	}
	if err == nil && len(op.Names) == 0 {
		err = notValid("vector", "at least one name is needed")
	}
	return op, err
}

func readSetPayload(o *object.Reader) (server.Op, error) {
	return readPayloadWrite(o, server.SetPayload)
}

func readOverwritePayload(o *object.Reader) (server.Op, error) {
	return readPayloadWrite(o, server.OverwritePayload)
}

func readPayloadWrite(o *object.Reader, kind server.OpKind) (server.Op, error) {
	op := server.Op{Kind: kind}
	err := readSelection(o, &op, errNoSelector, map[string]func() error{
		"payload": func() error {
			var raw json.RawMessage
			if err := readPayload(o, &raw); err != nil {
				return err
			}
			doc, err := payload.Decode(raw)
			if err != nil {
				return badFormat("payload: %v", err)
			}
			op.Payload = doc
			return nil
		},
		"key": func() error {
			op.Path = new(payload.Path)
			return readPath(o, op.Path)
		},
	})
	if err == nil && op.Payload == nil {
		err = badFormat("missing field `payload`")
	}
	return op, err
}

func readDeletePayload(o *object.Reader) (server.Op, error) {
	op := server.Op{Kind: server.DeletePayload}
	err := readSelection(o, &op, errNoSelector, map[string]func() error{
		"keys": func() error {
			op.Keys = []payload.Path{}
			return elements(o, func(int) error {
				var p payload.Path
				err := readPath(o, &p)
				op.Keys = append(op.Keys, p)
				return err
			})
		},
	})
	if err == nil && op.Keys == nil {
		err = badFormat("missing field `keys`")
	}
	return op, err
}
