package suite

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/hidraw"
	"github.com/tokendesk/tokendesk/usbhid/libusb"
)

// attachPoll is how often the system's list of devices is looked at while a key is plugged in or out.
const attachPoll = 20 * time.Millisecond

// Attached is the one YubiKey attached to this system; more or fewer than one is an error.
func Attached() (usbhid.Attached, error) {
	keys, err := usbhid.Find(os.DirFS("/sys"))
	if err != nil {
		return usbhid.Attached{}, err
	}
	if len(keys) != 1 {
		return usbhid.Attached{}, fmt.Errorf("%d keys attached, want just one", len(keys))
	}
	return keys[0], nil
}

// OpenAttached takes the one attached key over "libusb" or "hidraw".
func OpenAttached(ctx context.Context, transport string) (usbhid.Device, error) {
	k, err := Attached()
	if err != nil {
		return nil, err
	}
	switch transport {
	case "libusb":
		d, err := libusb.Open(ctx, k)
		if err != nil {
			return nil, err
		}
		return d, nil
	case "hidraw":
		d, err := hidraw.Open(ctx, k)
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	return nil, fmt.Errorf("no transport is called %q", transport)
}

// KeyboardAttached reports whether the keyboard driver holds the one attached key, with its hidraw and input nodes.
func KeyboardAttached(context.Context) (bool, error) {
	k, err := Attached()
	return err == nil && k.Driver == "usbhid" && nodeExists(k.HIDRaw) && len(k.Input) > 0 && nodeExists(k.Input[0]), err
}

func nodeExists(path string) bool {
	_, err := os.Stat(path)
	return path != "" && err == nil
}

// WaitAttached waits until one key is attached with its keyboard ready, or until none is.
func WaitAttached(ctx context.Context, want bool) error {
	tick := time.NewTicker(attachPoll)
	defer tick.Stop()
	for {
		keys, err := usbhid.Find(os.DirFS("/sys"))
		if err != nil {
			return err
		}
		if !want && len(keys) == 0 {
			return nil
		}
		if want && len(keys) == 1 {
			if ready, err := KeyboardAttached(ctx); ready && err == nil {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a key to be attached (%t): %w", want, ctx.Err())
		case <-tick.C:
		}
	}
}
