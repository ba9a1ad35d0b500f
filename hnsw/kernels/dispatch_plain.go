//go:build !amd64 || purego

package kernels

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
