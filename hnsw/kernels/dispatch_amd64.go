//go:build amd64 && !purego

package kernels

import (
	"runtime"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

func detect() Level {
	wide := cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX2, cpuid.FMA3)
	switch {
	case wide && cpuid.CPU.Supports(cpuid.AVX512VNNI):
		return VNNI
	case wide:
		return AVX512
	case cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3):
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

func dotCodes(l Level, query *byte, r *Rows, slots []uint32, out []int32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch {
	case l >= VNNI:
		dotCodesVNNI(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case l >= AVX2:
		dotCodesAVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainDotCodes(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func dotHalves(l Level, query *byte, r *Rows, slots []uint32, out []int32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch {
	case l >= VNNI:
		dotHalvesVNNI(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case l >= AVX2:
		dotHalvesAVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainDotHalves(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

// gatheredLines bounds the lines of a row that are requested ahead: more would
// push out of the cache what the first rows need.
const gatheredLines = 12

func gather(l Level, list []uint32, visited []uint64, limit uint32, r *Rows, out []uint32) int {
	if l == Plain || raced || len(visited) == 0 {
		return plainGather(list, visited, limit, out)
	}
	n := gatherAsm(&list[0], len(list), &visited[0], limit, (*uintptr)(unsafe.Pointer(&r.Table[0])),
		uint64(r.Shift), r.Stride, min(r.Stride/64, gatheredLines), &out[0])
	runtime.KeepAlive(r)
	return n
}

// Prefetch requests the first two cache lines at p from memory.
func Prefetch(p unsafe.Pointer) { prefetchAsm((*byte)(p)) }
