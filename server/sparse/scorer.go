package sparse

// Scorer scores slots one by one, in any order. It is for one goroutine.
type Scorer struct {
	parts []scorerPart
}

type scorerPart struct {
	*segment
	terms []*term
}

// Scorer returns a scorer by the dot product with a vector, whose indices ascend.
func (s *State) Scorer(indices []uint32, values []float32) *Scorer {
	x := &Scorer{}
	q := &Query{Indices: indices, Values: values}
	for _, p := range s.parts {
		x.parts = append(x.parts, scorerPart{p.segment, termsOf(p.segment, q)})
	}
	return x
}

// Score returns the score of a slot that is to be seen, as a search would; it is 0 for
// one without any of the dimensions.
func (x *Scorer) Score(slot uint32) float32 {
	for _, p := range x.parts {
		doc, ok := p.find(slot)
		if !ok {
			continue
		}
		score := 0.0
		for _, t := range p.terms {
			t.probed = 0
			v, _ := t.value(doc)
			score += v
		}
		return toFloat32(score)
	}
	return 0
}
