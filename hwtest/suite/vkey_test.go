package suite_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestVirtual runs the suite in process, on one key of every firmware generation.
func TestVirtual(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			const serial = 7654321
			k := vkey.New(p, vkey.Options{Serial: serial, Pace: vkey.Pace{Reads: 2}})
			res := suite.Run(t, suite.Target{
				Open: func(context.Context) (usbhid.Device, error) { return k.Open() },
				Press: func(_ context.Context, slot ykslot.Slot) error {
					if !k.Touch(int(slot)) {
						return errors.New("the key does not react to a touch")
					}
					return nil
				},
				Unplug: func(context.Context) error { k.Unplug(); return nil },
				Plug:   func(context.Context) error { k.Plug(); return nil },
				Serial: serial,
			})
			if got := res.Firmware.String(); got != p.Version.String() || len(res.Outcomes) == 0 {
				t.Errorf("result says firmware %s and %d cases", got, len(res.Outcomes))
			}
		})
	}
}

// TestDemandSerial: another key, or one that hides its serial, is closed again untouched.
func TestDemandSerial(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		opts vkey.Options
		ok   bool
	}{
		{"the key", vkey.Options{Serial: 11}, true},
		{"another key", vkey.Options{Serial: 12}, false},
		{"hidden", vkey.Options{Serial: 11, HideSerial: true}, false},
	} {
		k := vkey.New(vkey.YubiKey543, c.opts)
		dev, err := demandSerial(11, func(context.Context) (usbhid.Device, error) { return k.Open() })(t.Context())
		if (err == nil) != c.ok {
			t.Errorf("%s: got %v, want opened %t", c.name, err, c.ok)
		}
		if again, err := k.Open(); (err == nil) == c.ok {
			t.Errorf("%s: open again: %v, %v", c.name, again, err)
		}
		if dev != nil {
			_ = dev.Close()
		}
	}
}
