//go:build !race

package server

func under(n int) int { return n }
func alone(n int) int { return n }
