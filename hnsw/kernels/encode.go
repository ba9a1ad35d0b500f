package kernels

// Encoding says how floats become codes: (v − mean) × Inverse, but not below Low
// nor above High, plus Shift, without what is behind the point. It stands for that
// code less Center. Codes are from 0 to 255.
type Encoding struct {
	Inverse, Low, High, Shift, Center float32
}

// Sums are of the codes of a vector, and of their squares, which fit for up to
// 65,536 components, and of what the codes stand for times v − mean, and times
// mean.
type Sums struct {
	Codes, Squares uint32
	Own, Along     float64
}

// Encode writes the codes of v to dst, which is as long as v and mean. The codes
// and the sums of the codes are the same at every level, Own and Along within rounding.
func Encode(l Level, e *Encoding, dst []byte, v, mean []float32) (s Sums) {
	n := min(len(dst), len(mean), len(v))
	done := encode(l, e, dst[:n], v[:n], mean[:n], &s)
	plainEncode(e, dst[done:n], v[done:n], mean[done:n], &s)
	return s
}

// Deviation returns the largest magnitude in v − mean, and |v − mean|².
func Deviation(l Level, v, mean []float32) (largest float32, square float64) {
	n := min(len(v), len(mean))
	done, largest, square := deviation(l, v[:n], mean[:n])
	rest, more := plainDeviation(v[done:n], mean[done:n])
	return max(largest, rest), square + more
}

func plainEncode(e *Encoding, dst []byte, v, mean []float32, s *Sums) {
	mean, dst = mean[:len(v)], dst[:len(v)]
	for k, x := range v {
		d := x - mean[k]
		scaled := d * e.Inverse
		if scaled > e.High {
			scaled = e.High
		} else if scaled < e.Low {
			scaled = e.Low
		}
		code := uint32(int32(scaled + e.Shift))
		dst[k] = byte(code)
		s.Codes += code
		s.Squares += code * code
		y := float64(float32(code) - e.Center)
		s.Own += float64(d) * y
		s.Along += float64(mean[k]) * y
	}
}

func plainDeviation(v, mean []float32) (largest float32, square float64) {
	mean = mean[:len(v)]
	var even, odd float64 // independent chains of additions
	for k, x := range v {
		largest = max(largest, x-mean[k], mean[k]-x)
		d := float64(x) - float64(mean[k])
		even, odd = odd, even+d*d
	}
	return largest, even + odd
}
