//go:build amd64 && !purego

package kernels

import (
	"runtime"
	"unsafe"

	"github.com/klauspost/cpuid/v2"
)

func detect() Level {
	switch {
	case cpuid.CPU.Supports(cpuid.AVX512F, cpuid.AVX512DQ, cpuid.AVX512BW, cpuid.AVX512VL, cpuid.AVX2, cpuid.FMA3):
		return AVX512
	case cpuid.CPU.Supports(cpuid.AVX2, cpuid.FMA3):
		return AVX2
	default:
		return Plain
	}
}

func dot(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch l {
	case AVX512:
		dotAVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case AVX2:
		dotAVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainDot(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func l2(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch l {
	case AVX512:
		l2AVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case AVX2:
		l2AVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainL2(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}

func l1(l Level, query *float32, r *Rows, slots []uint32, out []float32) {
	table := (*uintptr)(unsafe.Pointer(&r.Table[0]))
	switch l {
	case AVX512:
		l1AVX512(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	case AVX2:
		l1AVX2(query, table, &slots[0], len(slots), &out[0], r.Blocks, uint64(r.Shift), r.Stride)
	default:
		plainL1(query, r, slots, out)
	}
	runtime.KeepAlive(r)
}
