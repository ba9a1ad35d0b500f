//go:build !linux

package main

// adviseHuge does nothing where huge pages cannot be asked for.
func adviseHuge([]byte) {}
