//go:build !((cgo || windows) && !nopcsc)

package pcsc

import (
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// Available says whether this build has smart cards.
const Available = false

// establish says that this build has no smart cards.
func establish() (service, error) {
	return nil, fmt.Errorf("%w: build with cgo and the headers of pcsc-lite (on macOS with Xcode's tools)", usbhid.ErrNotBuiltIn)
}
