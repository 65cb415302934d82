//go:build !linux

package usbfs

import (
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Lock is never made on this system.
type Lock struct{}

// Acquire returns an error that wraps usbhid.ErrNotBuiltIn: only Linux has usbfs.
func Acquire(k usbhid.Attached) (*Lock, error) {
	return nil, fmt.Errorf("lock %s: usbfs: %w", k.Path, usbhid.ErrNotBuiltIn)
}

// Close does nothing.
func (l *Lock) Close() error { return nil }

// Connect returns an error that wraps usbhid.ErrNotBuiltIn: only Linux has usbfs.
func Connect(k usbhid.Attached) error {
	return fmt.Errorf("attach keyboard of %s: usbfs: %w", k.Path, usbhid.ErrNotBuiltIn)
}
