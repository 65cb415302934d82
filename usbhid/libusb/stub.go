//go:build !cgo || nolibusb

package libusb

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Available says whether this build has the transport.
const Available = false

// Device is never made in this build.
type Device struct{ usbhid.Device }

// Open returns an error that wraps usbhid.ErrNotBuiltIn: this build has no libusb.
func Open(context.Context, usbhid.Attached) (*Device, error) {
	return nil, fmt.Errorf("libusb: %w: build with cgo and libusb's headers, or use hidraw", usbhid.ErrNotBuiltIn)
}
