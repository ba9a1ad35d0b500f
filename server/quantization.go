package server

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"freshet/hnsw"
)

// Quantization says how small vectors are to be made for searching; one member
// is set. This engine has codes of 8 and 4 bits about a learned mean, scored on
// the vectors afterwards; see Codes for what it makes of each kind.
type Quantization struct {
	Scalar  *ScalarQuantization  `json:"scalar,omitempty"`
	Product *ProductQuantization `json:"product,omitempty"`
	Binary  *BinaryQuantization  `json:"binary,omitempty"`
}

// ScalarQuantization asks for codes of 8 bits. Quantile has no effect: each
// vector has a step of its own, so there is no range to cut.
type ScalarQuantization struct {
	Type      string   `json:"type"`
	Quantile  *float64 `json:"quantile,omitempty"`
	AlwaysRAM *bool    `json:"always_ram,omitempty"`
}

// ProductQuantization asks for codes of a few bits.
type ProductQuantization struct {
	Compression string `json:"compression"`
	AlwaysRAM   *bool  `json:"always_ram,omitempty"`
}

// BinaryQuantization asks for codes of a bit or two.
type BinaryQuantization struct {
	AlwaysRAM     *bool  `json:"always_ram,omitempty"`
	Encoding      string `json:"encoding,omitempty"`
	QueryEncoding string `json:"query_encoding,omitempty"`
}

// The names that members may have.
var (
	compressions   = []string{"x4", "x8", "x16", "x32", "x64"}
	encodings      = []string{"one_bit", "two_bits", "one_and_half_bits"}
	queryEncodings = []string{"default", "binary", "scalar4bits", "scalar8bits"}
)

// quantizationError says what is wrong with the form of a Quantization. It begins
// with what clients know.
type quantizationError struct{ text string }

func (e *quantizationError) Error() string {
	return "data did not match any variant of untagged enum QuantizationConfig: " + e.text
}

func badQuantization(format string, args ...any) error {
	return &quantizationError{fmt.Sprintf(format, args...)}
}

// UnmarshalJSON reads one of the kinds.
func (q *Quantization) UnmarshalJSON(raw []byte) error {
	type plain Quantization
	var read plain
	if err := json.Unmarshal(raw, &read); err != nil {
		return badQuantization("%v", err)
	}
	*q = Quantization(read)
	kinds := 0
	for _, set := range []bool{q.Scalar != nil, q.Product != nil, q.Binary != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return badQuantization("one of scalar, product and binary is wanted, %d are there", kinds)
	}
	oneOf := func(name, value string, allowed []string) error {
		if slices.Contains(allowed, value) {
			return nil
		}
		return badQuantization("%s %.40q is not one of %s", name, value, strings.Join(allowed, ", "))
	}
	switch {
	case q.Scalar != nil:
		return oneOf("scalar.type", q.Scalar.Type, []string{"int8"})
	case q.Product != nil:
		return oneOf("product.compression", q.Product.Compression, compressions)
	default:
		return errors.Join(
			oneOf("binary.encoding", cmp.Or(q.Binary.Encoding, encodings[0]), encodings),
			oneOf("binary.query_encoding", cmp.Or(q.Binary.QueryEncoding, queryEncodings[0]), queryEncodings),
		)
	}
}

func (q *Quantization) validate(path string) error {
	if q == nil || q.Scalar == nil || q.Scalar.Quantile == nil {
		return nil
	}
	if x := *q.Scalar.Quantile; x < 0.5 || x > 1 {
		return invalid(path+".scalar.quantile", "value %v invalid, must be from 0.5 to 1.0", x)
	}
	return nil
}

// Codes are what the engine searches on. Kinds that ask for less than 8 bits get
// what is the default, too: codes of 4 bits wherever they keep the order of the
// nearest, of 8 bits elsewhere. No kind costs recall.
func (q *Quantization) Codes() hnsw.Codes {
	if q != nil && q.Scalar != nil {
		return hnsw.ByteCodes
	}
	return hnsw.AutoCodes
}
