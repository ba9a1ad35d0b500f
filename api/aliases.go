package api

import "freshet/server"

// aliasChange is one change of aliases; one of its members is set.
type aliasChange struct {
	Create *struct {
		Collection *string `json:"collection_name"`
		Alias      *string `json:"alias_name"`
	} `json:"create_alias"`
	Delete *struct {
		Alias *string `json:"alias_name"`
	} `json:"delete_alias"`
	Rename *struct {
		Old *string `json:"old_alias_name"`
		New *string `json:"new_alias_name"`
	} `json:"rename_alias"`
}

// action checks that nothing is missing.
func (c *aliasChange) action() (server.AliasAction, error) {
	switch {
	case c.Create != nil && c.Create.Collection == nil:
		return server.AliasAction{}, badFormat("missing field `collection_name`")
	case c.Create != nil && c.Create.Alias == nil, c.Delete != nil && c.Delete.Alias == nil:
		return server.AliasAction{}, badFormat("missing field `alias_name`")
	case c.Rename != nil && c.Rename.Old == nil:
		return server.AliasAction{}, badFormat("missing field `old_alias_name`")
	case c.Rename != nil && c.Rename.New == nil:
		return server.AliasAction{}, badFormat("missing field `new_alias_name`")
	case c.Create != nil:
		return server.AliasAction{Create: &server.Alias{Alias: *c.Create.Alias, Collection: *c.Create.Collection}}, nil
	case c.Delete != nil:
		return server.AliasAction{Delete: *c.Delete.Alias}, nil
	case c.Rename != nil:
		return server.AliasAction{Rename: &server.AliasRename{Old: *c.Rename.Old, New: *c.Rename.New}}, nil
	default:
		return server.AliasAction{}, badFormat("data did not match any variant of untagged enum AliasOperations")
	}
}

// changeAliases applies all changes, or none.
func changeAliases(r *request) (any, error) {
	var body struct {
		Actions []aliasChange `json:"actions"`
	}
	if err := r.decode(&body); err != nil {
		return nil, err
	}
	if body.Actions == nil {
		return nil, badFormat("missing field `actions`")
	}
	actions := make([]server.AliasAction, 0, len(body.Actions))
	for _, change := range body.Actions {
		action, err := change.action()
		if err != nil {
			return nil, err
		}
		actions = append(actions, action)
	}
	return true, r.s.db.UpdateAliases(r.ctx, actions)
}

func listAliases(r *request) (any, error) {
	return aliases(r, func(a server.Alias) bool { return callerOf(r.Context).mayRead(a.Alias, a.Collection) }), nil
}

func collectionAliases(r *request) (any, error) {
	c, err := r.collection()
	if err != nil {
		return nil, err
	}
	return aliases(r, func(a server.Alias) bool { return a.Collection == c.Name() }), nil
}

func aliases(r *request, include func(server.Alias) bool) any {
	type entry struct {
		Alias      string `json:"alias_name"`
		Collection string `json:"collection_name"`
	}
	list := []entry{}
	for _, a := range r.s.db.Aliases() {
		if include(a) {
			list = append(list, entry{a.Alias, a.Collection})
		}
	}
	return map[string]any{"aliases": list}
}
