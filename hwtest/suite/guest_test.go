package suite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// The environment of TestInGuest, which the scenarios of package vm set.
const (
	envGuestTransport = "TOKENDESK_SUITE_TRANSPORT" // libusb, hidraw, or ccid: then presses are read over hidraw
	envGuestSerial    = "TOKENDESK_SUITE_SERIAL"    // of the virtual key
)

// TestInGuest is compiled into a test binary that runs in the guest machine, where a virtual key is attached by USB/IP.
// The functions of package vm's prelude touch, unplug and plug it.
func TestInGuest(t *testing.T) {
	transport := os.Getenv(envGuestTransport)
	if transport == "" {
		t.Skip("runs in the guest machine only: go test ./hwtest/vm")
	}
	serial, err := strconv.ParseUint(os.Getenv(envGuestSerial), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	target := suite.Target{
		Open: func(ctx context.Context) (usbhid.Device, error) { return suite.OpenAttached(ctx, transport) },
		Press: func(ctx context.Context, slot ykslot.Slot) error {
			return prelude(ctx, fmt.Sprintf("press %d", slot))
		},
		Unplug: func(ctx context.Context) error {
			return errors.Join(prelude(ctx, "unplug_key"), suite.WaitAttached(ctx, false))
		},
		Plug: func(ctx context.Context) error {
			return errors.Join(prelude(ctx, "plug_key"), suite.WaitAttached(ctx, true))
		},
		Keyboard: suite.KeyboardAttached,
		Serial:   uint32(serial),
	}
	if transport == "ccid" {
		transport, target.OpenCard = "hidraw", suite.OpenReader
	}
	suite.Run(t, target)
}

// prelude calls one of the guest's bash functions.
func prelude(ctx context.Context, call string) error {
	out, err := exec.CommandContext(ctx, "bash", "-c", `source "$GUEST_DIR/prelude.sh"; `+call).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", call, err, out)
	}
	return nil
}
