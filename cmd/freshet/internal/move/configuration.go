package move

import (
	"context"
	"encoding/json"
	"net/http"
)

// configuration is what a collection has beside its points.
type configuration struct {
	creation map[string]json.RawMessage
	strict   json.RawMessage
	indexes  map[string]json.RawMessage
	aliases  []string
}

func present(raw json.RawMessage) bool { return len(raw) > 0 && string(raw) != "null" }

func readConfiguration(ctx context.Context, s Server, collection string) (*configuration, error) {
	var info struct {
		Config map[string]json.RawMessage
		Schema map[string]struct {
			Type   json.RawMessage `json:"data_type"`
			Params json.RawMessage
		} `json:"payload_schema"`
	}
	if err := s.do(ctx, http.MethodGet, collectionPath(collection, ""), nil, &info); err != nil {
		return nil, err
	}
	var params map[string]json.RawMessage
	if err := json.Unmarshal(info.Config["params"], &params); err != nil {
		return nil, err
	}
	c := &configuration{creation: map[string]json.RawMessage{}, indexes: map[string]json.RawMessage{}}
	// Numbers of shards and replicas belong to the cluster that is left.
	for _, name := range []string{"vectors", "sparse_vectors", "on_disk_payload"} {
		if present(params[name]) {
			c.creation[name] = params[name]
		}
	}
	for from, to := range map[string]string{
		"hnsw_config": "hnsw_config", "optimizer_config": "optimizers_config",
		"quantization_config": "quantization_config", "metadata": "metadata",
	} {
		if present(info.Config[from]) {
			c.creation[to] = info.Config[from]
		}
	}
	c.strict = info.Config["strict_mode_config"]
	for field, schema := range info.Schema {
		c.indexes[field] = schema.Type
		if present(schema.Params) {
			c.indexes[field] = schema.Params
		}
	}
	var aliases struct {
		Aliases []struct {
			Name string `json:"alias_name"`
		}
	}
	if err := s.do(ctx, http.MethodGet, collectionPath(collection, "/aliases"), nil, &aliases); err != nil {
		return nil, err
	}
	for _, a := range aliases.Aliases {
		c.aliases = append(c.aliases, a.Name)
	}
	return c, nil
}

// create makes the collection and its payload indexes.
func (c *configuration) create(ctx context.Context, s Server, collection string, mayExist bool) error {
	there, err := s.exists(ctx, collection)
	if err != nil {
		return err
	}
	if there && !mayExist {
		return wrong("collection %s exists at %s; --append adds to it", collection, s.URL)
	}
	if !there {
		if err := s.send(ctx, http.MethodPut, collectionPath(collection, ""), c.creation, nil); err != nil {
			return err
		}
	}
	for field, schema := range c.indexes {
		body := map[string]any{"field_name": field, "field_schema": schema}
		if err := s.send(ctx, http.MethodPut, collectionPath(collection, "/index?wait=true"), body, nil); err != nil {
			return err
		}
	}
	return nil
}

// finish does what must not be done before the points are there: aliases send
// readers to the collection, and strict mode would bound the import.
func (c *configuration) finish(ctx context.Context, s Server, collection string) error {
	if present(c.strict) {
		body := map[string]any{"strict_mode_config": c.strict}
		if err := s.send(ctx, http.MethodPatch, collectionPath(collection, ""), body, nil); err != nil {
			return err
		}
	}
	var actions []any
	for _, alias := range c.aliases {
		if alias == collection {
			continue // imported under the name that was its alias
		}
		actions = append(actions, map[string]any{"create_alias": map[string]string{"collection_name": collection, "alias_name": alias}})
	}
	if actions == nil {
		return nil
	}
	return s.send(ctx, http.MethodPost, "/collections/aliases", map[string]any{"actions": actions}, nil)
}
