package server

import "freshet/server/point"

// Check tells whether an operation fits the collection: vector names,
// dimensions, finite numbers, the depth of payloads. It looks at no point and changes nothing.
func (c *Collection) Check(op *Op) error {
	if op.Kind == Upsert || op.Kind == UpdateVectors {
		if len(op.Points) == 0 {
			return errorf(BadRequest, "Empty update request")
		}
		for i := range op.Points {
			if err := c.checkPoint(&op.Points[i]); err != nil {
				return err
			}
		}
		return nil
	}
	for _, name := range op.Names {
		if !c.set().hasName(name) {
			return noVector(name)
		}
	}
	if op.Path != nil {
		if err := op.Path.CheckDepth(op.Payload); err != nil {
			return errorf(BadRequest, "%v", err)
		}
	}
	if op.Select.IDs == nil && op.Select.Filter == nil {
		return errorf(BadRequest, "Either list of point ids or filter must be provided")
	}
	return nil
}

func (c *Collection) checkAll(ops []Op) error {
	for i := range ops {
		if err := c.Check(&ops[i]); err != nil {
			return &ItemError{i, err}
		}
	}
	return nil
}

func (c *Collection) checkPoint(p *Point) error {
	if p.ID.IsZero() {
		return errorf(BadRequest, "a point has no id")
	}
	set := c.set()
	for name, v := range p.Vectors {
		if err := set.checkVector(name, v); err != nil {
			return err
		}
		if _, ok := v.(Dense); ok && set.multi[name] != nil {
			return wrongForm(denseForm, multiForm) // a query only can be a row by itself
		}
	}
	return nil
}

// checkVector checks a vector that is stored or searched with.
func (set *vectorSet) checkVector(name string, v Vector) error {
	if set.sparse[name] != nil {
		return checkSparse(name, v)
	}
	if set.multi[name] != nil {
		return set.checkMulti(name, v)
	}
	g := set.graphs[name]
	if g == nil {
		return noVector(name)
	}
	dense, ok := v.(Dense)
	if !ok && v != nil {
		return wrongForm(v.form(), denseForm)
	}
	if dim := g.Config().Dim; len(dense) != dim {
		return errorf(WrongInput, "Vector dimension error: expected dim: %d, got %d", dim, len(dense))
	}
	return checkFinite(name, dense, set.params[name].Datatype)
}

func checkFinite(name string, values []float32, datatype Datatype) error {
	for _, x := range values {
		if !datatype.fits(x) {
			return errorf(WrongInput, "Vector %q holds a value that is not a finite number%s", name, datatype.suffix())
		}
	}
	return nil
}

// idOf returns the id for an error message.
func idOf(key []byte, given *Point) (point.ID, error) {
	if given != nil {
		return given.ID, nil
	}
	return point.FromKey(key)
}
