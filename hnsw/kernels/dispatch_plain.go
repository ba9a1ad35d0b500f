//go:build !amd64 || purego

package kernels

import "unsafe"

func detect() Level { return Plain }

func dot(_ Level, query *float32, r *Rows, slots []uint32, out []float32) {
	plainDot(query, r, slots, out)
}

func l2(_ Level, query *float32, r *Rows, slots []uint32, out []float32) {
	plainL2(query, r, slots, out)
}

func l1(_ Level, query *float32, r *Rows, slots []uint32, out []float32) {
	plainL1(query, r, slots, out)
}

func byteDistances(_ Level, q *CodeQuery, r, t *Rows, slots []uint32, out []float32) {
	plainBytes(q, r, t, slots, out)
}

func halfDistances(_ Level, q *CodeQuery, r, t *Rows, slots []uint32, out []float32) {
	plainHalves(q, r, t, slots, out)
}

func gather(_ Level, list []uint32, visited []uint64, limit uint32, _, _ *Rows, out []uint32) int {
	return plainGather(list, visited, limit, out)
}

func request(_, _ *Rows, _ []uint32, _ int) {}

func makeKeys(_ Level, distances []float32, slots []uint32, limit uint64, out []uint64) int {
	return plainKeys(distances, slots, limit, out)
}

func insert(_ Level, list []uint64, key uint64) int { return plainInsert(list, key) }

func encode(Level, *Encoding, []byte, []float32, []float32, *Sums) (done int) { return 0 }

func deviation(Level, []float32, []float32) (done int, largest float32, square float64) {
	return 0, 0, 0
}

// Prefetch does nothing here.
func Prefetch(unsafe.Pointer) {}
