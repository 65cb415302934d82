//go:build !linux

package postgres

import (
	"syscall"
	"time"
)

// bounded leaves it to the system how long it sends what nobody acknowledges.
func bounded(time.Duration) func(network, address string, c syscall.RawConn) error { return nil }
