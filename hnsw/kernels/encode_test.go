package kernels

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

// encodings are of codes of 8 and of 4 bits.
func encodings(step float32) map[string]Encoding {
	return map[string]Encoding{
		"bytes":  {Inverse: 1 / step, Low: -127, High: 127, Shift: ByteBias + 0.5, Center: ByteBias},
		"halves": {Inverse: 1 / step, Low: -8, High: 7.5, Shift: 8, Center: HalfBias},
	}
}

// checkEncode compares every level that the CPU has with the definition.
func checkEncode(t *testing.T, v, mean []float32, step float32) {
	t.Helper()
	for name, e := range encodings(step) {
		want, wantSums := make([]byte, len(v)), Sums{}
		var ownMagnitude, alongMagnitude float64
		for k, x := range v {
			scaled := min(max((x-mean[k])*e.Inverse, e.Low), e.High)
			want[k] = byte(math.Floor(float64(float32(scaled + e.Shift))))
			wantSums.Codes += uint32(want[k])
			wantSums.Squares += uint32(want[k]) * uint32(want[k])
			y := float64(want[k]) - float64(e.Center)
			own, along := float64(x-mean[k])*y, float64(mean[k])*y
			wantSums.Own += own
			wantSums.Along += along
			ownMagnitude += math.Abs(own)
			alongMagnitude += math.Abs(along)
		}
		for level := Plain; level <= Best; level++ {
			got := append(make([]byte, len(v)), 42)
			s := Encode(level, &e, got[:len(v)], v, mean)
			at := fmt.Sprintf("%v %s dim %d step %g", level, name, len(v), step)
			if !bytes.Equal(got[:len(v)], want) {
				t.Fatalf("%s: codes %v, want %v", at, got, want)
			}
			if got[len(v)] != 42 {
				t.Fatalf("%s wrote beyond its output", at)
			}
			if s.Codes != wantSums.Codes || s.Squares != wantSums.Squares ||
				!(math.Abs(s.Own-wantSums.Own) <= ownMagnitude*1e-12) || !(math.Abs(s.Along-wantSums.Along) <= alongMagnitude*1e-12) {
				t.Fatalf("%s: %+v, want %+v", at, s, wantSums)
			}
		}
	}
}

func checkDeviation(t *testing.T, v, mean []float32) {
	t.Helper()
	var largest float32
	var square float64
	for k, x := range v {
		largest = max(largest, x-mean[k], mean[k]-x)
		d := float64(x) - float64(mean[k])
		square += d * d
	}
	for level := Plain; level <= Best; level++ {
		l, s := Deviation(level, v, mean)
		if l != largest || !(math.Abs(s-square) <= square*1e-12) {
			t.Fatalf("%v dim %d: %g and %g, want %g and %g", level, len(v), l, s, largest, square)
		}
	}
}

func TestEncode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	for _, dim := range []int{1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 100, 384, 385, 1536, 65536} {
		for _, scale := range []float64{1, 1e-20, 1e15, 3e37} {
			v, mean := make([]float32, dim), make([]float32, dim)
			for k := range v {
				v[k], mean[k] = float32(random.NormFloat64()*scale), float32(random.NormFloat64()*scale/3)
			}
			checkDeviation(t, v, mean)
			for _, step := range []float64{1, 0.3, 0.01, 1e-4} {
				checkEncode(t, v, mean, float32(step*scale))
			}
		}
	}
}

// TestEncodeExtremes is about differences that are no float32, and about sums that
// are as large as they get.
func TestEncodeExtremes(t *testing.T) {
	for _, dim := range []int{40, 65536} {
		v, mean := make([]float32, dim), make([]float32, dim)
		for k := range v {
			v[k] = math.MaxFloat32
		}
		for level := Plain; level <= Best; level++ {
			for name, e := range encodings(math.MaxFloat32 / 127) {
				dst := make([]byte, dim)
				s := Encode(level, &e, dst, v, mean)
				code := map[string]uint32{"bytes": 255, "halves": 15}[name]
				if s.Codes != code*uint32(dim) || s.Squares != code*code*uint32(dim) || dst[dim-1] != byte(code) {
					t.Errorf("%v %s dim %d: %+v, last code %d", level, name, dim, s, dst[dim-1])
				}
			}
		}
		for k := range mean {
			mean[k] = -math.MaxFloat32
		}
		for level := Plain; level <= Best; level++ {
			largest, square := Deviation(level, v, mean)
			if want := 4 * float64(math.MaxFloat32) * float64(math.MaxFloat32) * float64(dim); !math.IsInf(float64(largest), 1) || math.Abs(square-want) > want*1e-12 {
				t.Errorf("%v dim %d: %g and %g, want %g", level, dim, largest, square, want)
			}
			for name, e := range encodings(math.MaxFloat32 / 127) {
				dst := make([]byte, dim)
				Encode(level, &e, dst, v, mean)
				if want := map[string]byte{"bytes": 255, "halves": 15}[name]; dst[0] != want || dst[dim-1] != want {
					t.Errorf("%v %s dim %d: codes %d and %d", level, name, dim, dst[0], dst[dim-1])
				}
			}
		}
	}
}

func FuzzEncode(f *testing.F) {
	f.Add(uint16(384), uint64(7), float32(0.01))
	f.Add(uint16(1), uint64(1), float32(1e-37))
	f.Add(uint16(65), uint64(3), float32(1e30))
	f.Fuzz(func(t *testing.T, dim uint16, seed uint64, step float32) {
		if !(step >= 1e-37 && step <= math.MaxFloat32/127) {
			return
		}
		random := rand.New(rand.NewPCG(seed, 1))
		v, mean := make([]float32, int(dim)%4000+1), make([]float32, int(dim)%4000+1)
		for k := range v {
			v[k] = float32(random.NormFloat64() * math.Pow(10, float64(random.IntN(12)-6)))
			mean[k] = float32(random.NormFloat64())
		}
		checkDeviation(t, v, mean)
		checkEncode(t, v, mean, step)
	})
}

func BenchmarkEncode(b *testing.B) {
	random := rand.New(rand.NewPCG(1, 1))
	v, mean, dst := make([]float32, 384), make([]float32, 384), make([]byte, 384)
	for k := range v {
		v[k], mean[k] = float32(random.NormFloat64()), float32(random.NormFloat64()/10)
	}
	for level := Plain; level <= Best; level++ {
		e := encodings(0.3)["halves"]
		b.Run("encode/"+level.String(), func(b *testing.B) {
			for b.Loop() {
				Encode(level, &e, dst, v, mean)
			}
		})
		b.Run("deviation/"+level.String(), func(b *testing.B) {
			for b.Loop() {
				Deviation(level, v, mean)
			}
		})
	}
}
