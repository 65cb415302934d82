//go:build !((cgo || windows) && !nopcsc)

package pivhw

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/pcsc"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// Available says whether this build has PIV.
const Available = false

// Card is none: Open never returns one.
type Card struct{ piv.Card }

// Open says that this build has no PIV.
func Open(context.Context, *pcsc.Service, string) (*Card, error) {
	return nil, fmt.Errorf("PIV: %w: build with cgo and the headers of pcsc-lite (on macOS with Xcode's tools)", usbhid.ErrNotBuiltIn)
}
