//go:build !((cgo || windows) && !nopcsc)

package pcsc

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/usbhid"
)

// TestNotBuiltIn: a build without PC/SC says so.
func TestNotBuiltIn(t *testing.T) {
	t.Parallel()
	if _, err := System().Readers(t.Context()); !errors.Is(err, usbhid.ErrNotBuiltIn) {
		t.Error(err)
	}
}
