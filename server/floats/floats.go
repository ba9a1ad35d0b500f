// Package floats reads arrays of JSON numbers into float32 vectors: the one
// part of a request or a record that is large. It accepts exactly what RFC 8259
// calls a number, rejects null and what float32 cannot hold, and rounds as
// strconv.ParseFloat does.
package floats

import (
	"encoding/binary"
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
		x, n := usual(s)
		if n > 0 {
			s = s[n:]
		} else if x, s, err = number(s); err != nil {
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

// usual reads a number of the form that vectors mostly have: one digit, a point, and up
// to 18 or 19 others, with room behind. It returns how long it is; 0 if it is of another
// form or its last bit is in doubt. It reads eight digits at a time, and has few
// branches that depend on the digits, since those are guessed wrong.
func usual(s []byte) (x float32, n int) {
	if len(s) < 1+2+24 {
		return 0, 0
	}
	negative := (uint64(s[0]^'-') - 1) >> 63
	text := (*[2 + 24]byte)(s[negative:])
	mantissa := uint64(text[0] - '0')
	if mantissa > 9 || text[1] != '.' {
		return 0, 0
	}
	most := maxDigits // a zero in front takes no room
	if mantissa > 0 {
		most--
	}
	number, n := digits(text[2:])
	mantissa = mantissa*tens[n] + number
	if n == 8 {
		number, more := digits(text[2+8:])
		mantissa = mantissa*tens[more] + number
		n += more
	}
	if n == 16 {
		number, more := digits(text[2+16:])
		mantissa = mantissa*tens[more] + number
		n += more
	}
	if n == 0 || n > most || text[2+n]|0x20 == 'e' {
		return 0, 0
	}
	wide := float64(mantissa) / powers[n]
	if inDoubt(wide, mantissa) {
		return 0, 0
	}
	return math.Float32frombits(math.Float32bits(float32(wide)) | uint32(negative)<<31), 2 + n + int(negative)
}

// digits reads up to eight digits from the front of s and returns how many there are.
// It works on all of them at once, as the bytes of a word, the first in the lowest.
func digits(s []byte) (number uint64, count int) {
	const each = 0x0101010101010101
	word := binary.LittleEndian.Uint64(s) ^ '0'*each                   // digits are now 0 to 9
	other := (word&(0x7f*each) + (0x7f-9)*each | word) & (0x80 * each) // marks what is more
	n := uint(bits.TrailingZeros64(other)) / 8                         // 8 if nothing is
	word <<= 64 - 8*n                                                  // now zeros are in front
	word = (10*word + word>>8) & 0x00ff00ff00ff00ff                    // neighbours make two digits,
	word = (100*word + word>>16) & 0x0000ffff0000ffff                  // then four,
	return (10000*word + word>>32) & 0xffffffff, int(n)                // then all
}

var tens = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

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
	x := float64(mantissa)
	if exponent < 0 {
		x /= powers[-exponent]
	} else {
		x *= powers[exponent]
	}
	if x < 0x1p-126 || x > math.MaxFloat32 || inDoubt(x, mantissa) {
		return 0, false
	}
	return float32(x), true
}

// inDoubt says whether x, made of the mantissa and a power of ten, is so near to the
// middle between two float32 that it may be rounded to the wrong one.
func inDoubt(x float64, mantissa uint64) bool {
	slack := uint64(1) // possible error of x in units of its last place
	if mantissa >= 1<<53 {
		slack = 2 // the mantissa was rounded too
	}
	const middle, mask = 1 << 28, 1<<29 - 1 // of the 29 bits that float32 lacks
	return math.Float64bits(x)&mask-(middle-slack) <= 2*slack
}

var powers = [...]float64{
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
}
