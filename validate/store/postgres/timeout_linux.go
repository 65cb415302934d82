package postgres

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bounded lets the system give up a connection whose data nobody acknowledges; by itself it tries for a quarter of an hour.
// Source: Linux tcp(7), TCP_USER_TIMEOUT.
func bounded(after time.Duration) func(network, address string, c syscall.RawConn) error {
	return func(network, _ string, c syscall.RawConn) error {
		if network == "unix" {
			return nil
		}
		var failed error
		err := c.Control(func(fd uintptr) {
			failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
		})
		if err != nil {
			return err
		}
		return failed
	}
}
