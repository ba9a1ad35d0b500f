package embed

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"

	"freshet/server/floats"
	"freshet/server/object"
)

// maxAnswer bounds an answer, in bytes: room for numbers written at length with
// white space between them, and for what else may be said.
func maxAnswer(texts, dimension int) int64 {
	return int64(texts)*(int64(dimension)*40+1024) + 64<<10
}

// readAnswer reads the vectors of an answer in the order of the texts. A vector that
// is not made of finite numbers is nil: an endpoint may have none for a certain text.
func readAnswer(raw []byte, texts, dimension int) ([][]float32, error) {
	a := answer{vectors: make([][]float32, texts), seen: make([]bool, texts), dimension: dimension}
	o := object.NewReader(raw)
	if o.Kind() != '{' {
		return nil, errors.New("the answer is not a JSON object")
	}
	found := false
	err := o.Members(func(name string) error {
		if name != "data" || found {
			return o.Skip()
		}
		found = true
		if o.Kind() != '[' {
			return errors.New("the answer's `data` is not a list")
		}
		return o.Elements(func(i int) error { return a.element(o, i) })
	})
	if err == nil {
		err = o.End()
	}
	var syntax *object.SyntaxError
	switch {
	case errors.As(err, &syntax):
		return nil, fmt.Errorf("the answer is not JSON: %s at byte %d", syntax.Text, syntax.Offset)
	case err != nil:
		return nil, err
	case !found:
		return nil, errors.New("the answer has no `data`")
	case a.n != texts:
		return nil, fmt.Errorf("the answer has %d embeddings for %d texts", a.n, texts)
	}
	return a.vectors, nil
}

// answer collects the vectors of one.
type answer struct {
	vectors   [][]float32
	seen      []bool
	dimension int
	n         int
}

// element reads one embedding, the i-th. Its index says which text it belongs to;
// without one it is the i-th.
func (a *answer) element(o *object.Reader, i int) error {
	if i >= len(a.vectors) {
		return fmt.Errorf("the answer has more than %d embeddings for %d texts", i, len(a.vectors))
	}
	if o.Kind() != '{' {
		return errors.New("an element of the answer's `data` is not an object")
	}
	index := i
	var vector []float32
	found := false
	err := o.Members(func(name string) error {
		switch name {
		case "index":
			raw, err := o.Value()
			if err != nil {
				return err
			}
			n, err := strconv.Atoi(string(raw))
			if err != nil || n < 0 || n >= len(a.vectors) {
				return fmt.Errorf("the answer has the index %.20s for %d texts", raw, len(a.vectors))
			}
			index = n
			return nil
		case "embedding":
			raw, err := o.Value()
			if err != nil {
				return err
			}
			found = true
			vector, err = readEmbedding(raw, a.dimension)
			return err
		default:
			return o.Skip()
		}
	})
	switch {
	case err != nil:
		return err
	case !found:
		return errors.New("an element of the answer's `data` has no `embedding`")
	case a.seen[index]:
		return fmt.Errorf("the answer has the index %d twice", index)
	}
	a.seen[index], a.vectors[index] = true, vector
	a.n++
	return nil
}

// readEmbedding reads numbers, or little-endian float32 in base64; nil if there is
// none or one of the numbers is not finite.
func readEmbedding(raw []byte, dimension int) ([]float32, error) {
	var vector []float32
	switch raw[0] {
	case 'n':
		return nil, nil
	case '"':
		var bytes []byte
		var text string
		err := json.Unmarshal(raw, &text)
		if err == nil {
			bytes, err = base64.StdEncoding.DecodeString(text)
		}
		if err != nil || len(bytes)%4 != 0 {
			return nil, errors.New("an embedding of the answer is not float32 in base64")
		}
		vector = make([]float32, len(bytes)/4)
		for i := range vector {
			vector[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
		}
	default:
		var err error
		vector, _, err = floats.Scan(make([]float32, 0, dimension), raw)
		switch {
		case errors.Is(err, floats.ErrNull), errors.Is(err, floats.ErrRange):
			return nil, nil
		case err != nil:
			return nil, errors.New("an embedding of the answer is not a list of numbers")
		}
	}
	if len(vector) != dimension {
		return nil, fmt.Errorf("the answer's embeddings have %d dimensions, the configuration says %d", len(vector), dimension)
	}
	for _, x := range vector {
		if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
			return nil, nil
		}
	}
	return vector, nil
}
