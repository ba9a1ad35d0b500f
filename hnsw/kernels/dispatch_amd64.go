//go:build amd64 && !purego

package kernels

import (
	"runtime"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

func detect() Level {
	wide := cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX2, cpuid.FMA3, cpuid.BMI2)
	switch {
	case wide && cpuid.CPU.Supports(cpuid.AVX512VNNI):
		return VNNI
	case wide:
		return AVX512
	case cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3, cpuid.BMI2):
		return AVX2
	default:
		return Plain
	}
}

func dot(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch {
	case l >= AVX512:
		dotAVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case l == AVX2:
		dotAVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainDot(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func l2(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch {
	case l >= AVX512:
		l2AVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case l == AVX2:
		l2AVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainL2(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func l1(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch {
	case l >= AVX512:
		l1AVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case l == AVX2:
		l1AVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainL1(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func byteDistances(l Level, q *CodeQuery, r, t *Rows, slots []uint32, out []float32) {
	if l == Plain {
		plainBytes(q, r, t, slots, out)
		return
	}
	table, terms := (*uintptr)(unsafe.Pointer(&r.Table[0])), (*uintptr)(unsafe.Pointer(&t.Table[0]))
	if l >= VNNI {
		distancesBytesVNNI(q.Codes, q.flip(), table, uint64(r.Shift), r.Stride, r.Blocks, terms, uint64(t.Shift),
			&slots[0], len(slots), q.Base, q.Factor, ByteBias*float64(q.Sum), &out[0])
	} else {
		distancesBytesAVX2(q.Codes, q.flip(), table, uint64(r.Shift), r.Stride, r.Blocks, terms, uint64(t.Shift),
			&slots[0], len(slots), q.Base, q.Factor, 0, &out[0])
	}
	runtime.KeepAlive(r)
	runtime.KeepAlive(t)
}

func halfDistances(l Level, q *CodeQuery, r, t *Rows, slots []uint32, out []float32) {
	if l == Plain {
		plainHalves(q, r, t, slots, out)
		return
	}
	table, terms := (*uintptr)(unsafe.Pointer(&r.Table[0])), (*uintptr)(unsafe.Pointer(&t.Table[0]))
	kernel := distancesHalvesAVX2
	if l >= VNNI {
		kernel = distancesHalvesVNNI
	}
	kernel(q.Codes, 0, table, uint64(r.Shift), r.Stride, r.Blocks, terms, uint64(t.Shift),
		&slots[0], len(slots), q.Base, q.Factor, HalfBias*float64(q.Sum), &out[0])
	runtime.KeepAlive(r)
	runtime.KeepAlive(t)
}

func gather(l Level, list []uint32, visited []uint64, limit uint32, r, t *Rows, out []uint32) int {
	if l == Plain || raced || len(visited) == 0 {
		return plainGather(list, visited, limit, out)
	}
	terms, termShift, termStride := t.orNone()
	n := gatherAsm(&list[0], len(list), &visited[0], limit, (*uintptr)(unsafe.Pointer(&r.Table[0])),
		uint64(r.Shift), r.Stride, min(r.Blocks, gatheredLines), terms, termShift, termStride, &out[0])
	runtime.KeepAlive(r)
	return n
}

func request(r, t *Rows, slots []uint32, lines int) {
	terms, termShift, termStride := t.orNone()
	requestAsm(&slots[0], len(slots), (*uintptr)(unsafe.Pointer(&r.Table[0])), uint64(r.Shift), r.Stride,
		min(r.Blocks, lines), terms, termShift, termStride)
}

// orNone returns what the assembly needs of rows that may be nil.
func (r *Rows) orNone() (table *uintptr, shift uint64, stride int) {
	if r == nil {
		return nil, 0, 0
	}
	return (*uintptr)(unsafe.Pointer(&r.Table[0])), uint64(r.Shift), r.Stride
}

func makeKeys(l Level, distances []float32, slots []uint32, limit uint64, out []uint64) int {
	if l < AVX512 {
		return plainKeys(distances, slots, limit, out)
	}
	return keysAVX512(&distances[0], &slots[0], len(slots), limit, &out[0])
}

func insert(l Level, list []uint64, key uint64) int {
	if l == Plain {
		return plainInsert(list, key)
	}
	return insertAVX2(&list[0], len(list)-1, key)
}

// Prefetch requests the first two cache lines at p from memory.
func Prefetch(p unsafe.Pointer) { prefetchAsm((*byte)(p)) }

// inRegisters returns how many of n components fill registers of so many floats.
func inRegisters(n, floats int) int { return n / floats * floats }

// encode does as many components as it can, from the first on, and returns how many.
func encode(l Level, e *Encoding, dst []byte, v, mean []float32, s *Sums) (done int) {
	if l >= AVX512 {
		if done = inRegisters(len(v), 16); done > 0 {
			encodeAVX512(&v[0], &mean[0], done, e.Inverse, e.Low, e.High, e.Shift, e.Center, &dst[0], (*byte)(unsafe.Pointer(s)))
		}
	} else if l == AVX2 {
		if done = inRegisters(len(v), 8); done > 0 {
			encodeAVX2(&v[0], &mean[0], done, e.Inverse, e.Low, e.High, e.Shift, e.Center, &dst[0], (*byte)(unsafe.Pointer(s)))
		}
	}
	return done
}

// deviation is like encode.
func deviation(l Level, v, mean []float32) (done int, largest float32, square float64) {
	if l >= AVX512 {
		if done = inRegisters(len(v), 16); done > 0 {
			largest, square = deviationAVX512(&v[0], &mean[0], done)
		}
	} else if l == AVX2 {
		if done = inRegisters(len(v), 8); done > 0 {
			largest, square = deviationAVX2(&v[0], &mean[0], done)
		}
	}
	return done, largest, square
}
