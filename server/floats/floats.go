// Package floats reads arrays of JSON numbers into float32 vectors: the one
// part of a request or a record that is large. It accepts exactly what RFC 8259
// calls a number, rejects null and what float32 cannot hold, and rounds as
// strconv.ParseFloat does.
package floats

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"unsafe"
)

// Errors of Scan.
var (
	ErrSyntax = errors.New("not a JSON array of numbers")
	ErrNull   = errors.New("null is not a number")
	ErrRange  = errors.New("number out of the range of 32-bit floats")
)

// Scan reads a JSON array of numbers from the front of src, appends them to dst
// and returns what follows the array.
func Scan(dst []float32, src []byte) (values []float32, rest []byte, err error) {
	s := skipSpace(src)
	if len(s) == 0 || s[0] != '[' {
		return dst, src, ErrSyntax
	}
	s = skipSpace(s[1:])
	if len(s) > 0 && s[0] == ']' {
		return dst, s[1:], nil
	}
	for {
		var x float32
		x, s, err = number(s)
		if err != nil {
			return dst, src, err
		}
		dst = append(dst, x)
		if len(s) > 0 && s[0] <= ' ' {
			s = skipSpace(s)
		}
		if len(s) == 0 {
			return dst, src, ErrSyntax
		}
		switch s[0] {
		case ',':
			s = s[1:]
			if len(s) > 0 && s[0] <= ' ' {
				s = skipSpace(s)
			}
		case ']':
			return dst, s[1:], nil
		default:
			return dst, src, ErrSyntax
		}
	}
}

func skipSpace(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\n' || s[0] == '\t' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

// maxDigits is how many decimal digits always fit the 64-bit mantissa.
const maxDigits = 19

// number reads one number. The usual ones, of up to 19 digits and a small
// exponent, are converted here; the rest go to strconv.
func number(s []byte) (float32, []byte, error) {
	i := 0
	negative := false
	if i < len(s) && s[i] == '-' {
		negative = true
		i++
	}
	start := i
	var mantissa uint64
	digits := 0
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		mantissa = mantissa*10 + uint64(s[i]-'0')
		digits++
	}
	if digits == 0 || digits > 1 && s[start] == '0' {
		if len(s) >= 4 && string(s[:4]) == "null" {
			return 0, s, ErrNull
		}
		return 0, s, ErrSyntax
	}
	exponent := 0
	if i < len(s) && s[i] == '.' {
		i++
		point := i
		for ; i < len(s) && s[i]-'0' <= 9; i++ {
			mantissa = mantissa*10 + uint64(s[i]-'0')
		}
		if i == point {
			return 0, s, ErrSyntax
		}
		exponent = point - i
		digits += i - point
		if s[start] == '0' { // leading zeros do not use up the mantissa
			digits = significant(s[point:i])
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		e, next, ok := readExponent(s, i+1)
		if !ok {
			return 0, s, ErrSyntax
		}
		exponent += e
		i = next
	}
	if digits <= maxDigits {
		if x, ok := convert(mantissa, exponent); ok {
			if negative {
				x = -x
			}
			return x, s[i:], nil
		}
	}
	// strconv keeps no reference to the string.
	x, err := strconv.ParseFloat(unsafe.String(&s[0], i), 32)
	if err != nil {
		return 0, s, fmt.Errorf("%w: %.40s", ErrRange, s[:i])
	}
	return float32(x), s[i:], nil
}

func significant(fraction []byte) int {
	n := len(fraction)
	for n > 0 && fraction[len(fraction)-n] == '0' {
		n--
	}
	return n
}

// readExponent reads what follows the e; beyond 9,999 it stays there, which is
// far out of any range.
func readExponent(s []byte, i int) (e, next int, ok bool) {
	sign := 1
	if i < len(s) && (s[i] == '+' || s[i] == '-') {
		if s[i] == '-' {
			sign = -1
		}
		i++
	}
	start := i
	for ; i < len(s) && s[i]-'0' <= 9; i++ {
		e = min(e*10+int(s[i]-'0'), 9999)
	}
	return sign * e, i, i > start
}

// convert returns mantissa × 10^exponent rounded to float32. It says false
// where it cannot be sure of the last bit or the result is not a normal number.
//
// The method is Clinger's: a product or quotient of two numbers that float64
// holds exactly has one rounding error; rounding it again to float32 is right
// unless it lies within that error of the middle between two float32 values.
func convert(mantissa uint64, exponent int) (float32, bool) {
	if mantissa == 0 {
		return 0, true
	}
	if exponent < -22 || exponent > 22 {
		return 0, false
	}
	slack := uint64(1) // possible error of x in units of its last place
	if bits.Len64(mantissa) > 53 {
		slack = 2 // the mantissa was rounded too
	}
	x := float64(mantissa)
	if exponent < 0 {
		x /= powers[-exponent]
	} else {
		x *= powers[exponent]
	}
	if x < 0x1p-126 || x > math.MaxFloat32 {
		return 0, false
	}
	const middle, mask = 1 << 28, 1<<29 - 1 // of the 29 bits that float32 lacks
	tail := math.Float64bits(x) & mask
	if tail+slack >= middle && tail <= middle+slack {
		return 0, false
	}
	return float32(x), true
}

var powers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}
