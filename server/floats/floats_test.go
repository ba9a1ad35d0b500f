package floats

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestScan(t *testing.T) {
	for in, want := range map[string][]float32{
		`[]`:                                 {},
		" [ 1 ,\n-2.5,\t3e2 ] ":              {1, -2.5, 300},
		`[0.0010518358,-6.5689423E-4,36.0]`:  {0.0010518358, -6.5689423e-4, 36},
		`[1.0E10,-0,-0.0,0e5,1E+2]`:          {1e10, float32(math.Copysign(0, -1)), float32(math.Copysign(0, -1)), 0, 100},
		`[3.4028235e38,1e-45,1e-60]`:         {math.MaxFloat32, math.SmallestNonzeroFloat32, 0},
		`[123456789012345678901234567890.5]`: {1.2345679e29},
	} {
		got, rest, err := Scan(nil, []byte(in))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) || len(skipSpace(rest)) != 0 {
			t.Errorf("%s: %v, rest %q, %v", in, got, rest, err)
		}
	}
	for in, want := range map[string]error{
		``: ErrSyntax, `1`: ErrSyntax, `[`: ErrSyntax, `[1`: ErrSyntax, `[1,`: ErrSyntax, `[1,]`: ErrSyntax, `[,1]`: ErrSyntax,
		`[1 2]`: ErrSyntax, `[01]`: ErrSyntax, `[00]`: ErrSyntax, `[+1]`: ErrSyntax, `[.5]`: ErrSyntax, `[5.]`: ErrSyntax, `[1e]`: ErrSyntax,
		`[1e+]`: ErrSyntax, `[-]`: ErrSyntax, `[NaN]`: ErrSyntax, `[Infinity]`: ErrSyntax, `["1"]`: ErrSyntax, `[[1]]`: ErrSyntax,
		`[null]`: ErrNull, `[1,null]`: ErrNull, `[0x1]`: ErrSyntax, `[1_0]`: ErrSyntax, `{}`: ErrSyntax,
		`[1e39]`: ErrRange, `[-1e999999]`: ErrRange, `[3.5e38]`: ErrRange,
	} {
		if got, _, err := Scan(nil, []byte(in)); !errors.Is(err, want) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
}

func TestScanKeepsRest(t *testing.T) {
	got, rest, err := Scan([]float32{9}, []byte(`[1],"x":2`))
	if err != nil || fmt.Sprint(got) != "[9 1]" || string(rest) != `,"x":2` {
		t.Fatalf("%v, %q, %v", got, rest, err)
	}
}

// same compares one number with strconv, the specification.
func same(t *testing.T, text string) {
	t.Helper()
	want, wantErr := strconv.ParseFloat(text, 32)
	// One with room behind it is read in another way than one without.
	last, _, err := Scan(nil, []byte("["+text+"]"))
	got, _, roomErr := Scan(nil, []byte("["+text+",0                        ]"))
	if (err == nil) != (roomErr == nil) || err == nil && math.Float32bits(got[0]) != math.Float32bits(last[0]) {
		t.Fatalf("%s: %v, %v; as the last %v, %v", text, got, roomErr, last, err)
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("%s: %v, strconv says %v", text, err, wantErr)
	}
	if err == nil && math.Float32bits(got[0]) != math.Float32bits(float32(want)) {
		t.Fatalf("%s: %v (%x), strconv says %v (%x)", text, got[0], math.Float32bits(got[0]), want, math.Float32bits(float32(want)))
	}
}

func TestSameAsStrconv(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		x := math.Float32frombits(r.Uint32())
		if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
			continue
		}
		same(t, strconv.FormatFloat(float64(x), 'g', -1, 32))
		same(t, strconv.FormatFloat(float64(x), 'g', 17, 64))
		same(t, strconv.FormatFloat(r.NormFloat64(), 'f', r.IntN(20), 64))
		same(t, strconv.FormatFloat(r.NormFloat64()/100, 'f', r.IntN(26), 64))
		// The middle between two neighbours, and just beside it.
		mid := (float64(x) + float64(math.Nextafter32(x, 2*x+1))) / 2
		for _, m := range []float64{mid, math.Nextafter(mid, 0), math.Nextafter(mid, math.Inf(1))} {
			if !math.IsInf(m, 0) && !math.IsNaN(m) {
				same(t, strconv.FormatFloat(m, 'g', -1, 64))
				same(t, strconv.FormatFloat(m, 'e', 18, 64))
			}
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, s := range []string{`[1,2.5,-3e-4]`, `[0.0010518358]`, `[null]`, `[1e400]`, `[00]`, `[9007199254740993]`, `[1.17549435e-38]`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, rest, err := Scan(nil, raw)
		if err != nil {
			return
		}
		var want []json.Number
		if err := json.Unmarshal(raw[:len(raw)-len(rest)], &want); err != nil {
			t.Fatalf("%q was accepted, encoding/json says %v", raw, err)
		}
		for i, n := range want {
			x, err := strconv.ParseFloat(string(n), 32)
			if err != nil || math.Float32bits(float32(x)) != math.Float32bits(got[i]) {
				t.Fatalf("%q: element %d is %v, want %v (%v)", raw, i, got[i], x, err)
			}
		}
	})
}

// BenchmarkScan reads vectors of 384 numbers, as short as float32 can be written and as
// Python writes those of numpy, in double precision. There are so many that the CPU
// cannot learn their digits by heart.
func BenchmarkScan(b *testing.B) {
	for _, bits := range []int{32, 64} {
		b.Run(strconv.Itoa(bits), func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			texts := make([][]byte, 256)
			for i := range texts {
				for range 384 {
					texts[i] = strconv.AppendFloat(append(texts[i], ','), float64(float32(r.NormFloat64()/20)), 'g', -1, bits)
				}
				texts[i][0] = '['
				texts[i] = append(texts[i], ']')
			}
			dst := make([]float32, 0, 384)
			b.SetBytes(int64(len(texts[0])))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, _, err := Scan(dst, texts[i%len(texts)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
