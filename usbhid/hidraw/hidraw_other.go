//go:build !linux

package hidraw

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Available says whether this build has the transport.
const Available = false

// Device is never made on this system.
type Device struct{ usbhid.Device }

// Open returns an error that wraps usbhid.ErrNotBuiltIn: only Linux has hidraw.
func Open(context.Context, usbhid.Attached) (*Device, error) {
	return nil, fmt.Errorf("hidraw: %w: it is for Linux only", usbhid.ErrNotBuiltIn)
}

// Grabbed is false.
func (d *Device) Grabbed() bool { return false }
