//go:build !race && amd64 && !purego

package kernels

const raced = false
