//go:build !linux

package front

// NoCoreDumps does nothing here.
func NoCoreDumps() error { return nil }
