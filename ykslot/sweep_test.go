package ykslot_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/ykslot"
)

// changes are the changes of a key beside writing a slot, and what shows them. Slot 1 holds an encrypted password, slot 2 a key
// for challenges.
var changes = []struct {
	name string
	on   vkey.Profile
	do   func(t *testing.T, r *rig) error
	show func(t *testing.T, r *rig) string
}{
	{"update", vkey.YubiKey543, func(t *testing.T, r *rig) error {
		return r.Update(t.Context(), ykslot.Slot1, ykslot.Flags{Ext: ykslot.AllowUpdate}, bytesOf(6, 5), none)
	}, slotsOf},
	{"swap", vkey.YubiKey571, func(t *testing.T, r *rig) error { return r.Swap(t.Context()) }, slotsOf},
	{"delete", vkey.YubiKey571, func(t *testing.T, r *rig) error { return r.Delete(t.Context(), ykslot.Slot2, none) }, slotsOf},
	{"NDEF", vkey.YubiKeyNEO, func(t *testing.T, r *rig) error {
		uri, err := ykslot.NDEFURI("https://example.com/a/longer/path/than/one/part?otp=")
		if err != nil {
			t.Fatal(err)
		}
		return r.WriteNDEF(t.Context(), ykslot.Slot1, uri, none)
	}, slotsOf},
	{"scan map", vkey.YubiKey543, func(t *testing.T, r *rig) error {
		m := ykslot.DefaultScanMap()
		m[0], m[1] = m[1], m[0]
		return r.WriteScanMap(t.Context(), m, none)
	}, func(t *testing.T, r *rig) string {
		text, _ := sweepConfig(t, r).Press(0)
		return r.typed(t, ykslot.Slot1, text)
	}},
	{"mode", vkey.YubiKey435, func(t *testing.T, r *rig) error {
		return r.SetMode(t.Context(), ykslot.USBMode{OTP: true, CCID: true})
	}, func(t *testing.T, r *rig) string {
		r.key.PowerCycle()
		return fmt.Sprint(r.key.USB())
	}},
	{"device settings", vkey.YubiKey543, func(t *testing.T, r *rig) error {
		return r.WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{ChallengeTimeout: ptr(20 * time.Second), NewLockCode: bytesOf(16, 3)})
	}, func(t *testing.T, r *rig) string {
		d, err := r.DeviceInfo(t.Context())
		return fmt.Sprintf("%+v %v %v", d, err, r.key.HoldsLockCode([16]byte(bytesOf(16, 3).Reveal())))
	}},
}

func slotsOf(_ *testing.T, r *rig) string {
	return fmt.Sprintf("%+v %+v %v", r.key.Slot(1), r.key.Slot(2), r.key.HoldsAccessCode(1, [6]byte(bytesOf(6, 5).Reveal())))
}

func sweepConfig(t *testing.T, r *rig) ykslot.Config {
	t.Helper()
	c, err := ykslot.EncryptedPassword{Key: bytesOf(16, 1), Flags: ykslot.TypingFlags(r.Status().Version)}.Config()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func openSweep(t *testing.T, p vkey.Profile) *rig {
	t.Helper()
	r := openRig(t, p, vkey.Options{Serial: serial})
	v := r.Status().Version
	want(t, "write 1", r.Write(t.Context(), ykslot.Slot1, sweepConfig(t, r), none), false, 0)
	r.program(t, ykslot.Slot2, ykslot.ChallengeHMAC{Key: bytesOf(20, 2), Flags: ykslot.ChallengeFlags(v)})
	return r
}

// TestChangesFaultSweep: whatever single report of a change stalls, is lost or is the last before the key is unplugged: without an
// error the key has changed, and with one that does not wrap ErrUnsettled it has not. The session then works.
func TestChangesFaultSweep(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := openSweep(t, c.on)
			before := c.show(t, r)
			r = openSweep(t, c.on)
			if err := c.do(t, r); err != nil {
				t.Fatal(err)
			}
			after := c.show(t, r)
			if before == after {
				t.Fatal("nothing shows the change")
			}
			for n := 1; n <= 24; n++ {
				for i, f := range []vkey.Faults{{StallReport: n}, {LoseSet: n}, {UnplugAfter: n}} {
					r := openSweep(t, c.on)
					r.key.SetFaults(f)
					err := c.do(t, r)
					r.key.SetFaults(vkey.Faults{})
					if f.UnplugAfter > 0 {
						r.key.Plug()
					}
					r.reopen(t)
					switch got := c.show(t, r); {
					case got != before && got != after:
						t.Fatalf("fault %d at %d: neither before nor after", i, n)
					case err == nil && got != after:
						t.Errorf("fault %d at %d: no error, but nothing changed", i, n)
					case err != nil && !errors.Is(err, ykslot.ErrUnsettled) && got != before:
						t.Errorf("fault %d at %d: changed, but %v", i, n, err)
					}
				}
			}
		})
	}
}

// TestChangesByCard: the same changes by smart-card commands, where the firmware takes them.
func TestChangesByCard(t *testing.T) {
	t.Parallel()
	for _, c := range changes {
		if c.on.Version.Major == 4 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := openSweep(t, c.on)
			if err := c.do(t, r); err != nil {
				t.Fatal(err)
			}
			after := c.show(t, r)
			for name, card := range map[string]func(*vkey.Key) *vkey.Card{"USB": (*vkey.Key).Card, "NFC": (*vkey.Key).NFC} {
				r := openSweep(t, c.on)
				r.Session = openCard(t, card(r.key))
				if err := c.do(t, r); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if got := c.show(t, r); got != after {
					t.Errorf("%s: %s, want %s", name, got, after)
				}
			}
		})
	}
}

// TestPaddedByCard: over NFC, challenges of every length are answered with their own HMAC, as by feature reports.
func TestPaddedByCard(t *testing.T) {
	t.Parallel()
	key := bytesOf(20, 0x5a)
	r := openRig(t, vkey.YubiKey571, vkey.Options{})
	r.program(t, ykslot.Slot1, ykslot.ChallengeHMAC{Key: key})
	r.Session = openCard(t, r.key.NFC())
	for n := 1; n <= 63; n++ {
		for _, last := range []byte{0, 1, 0xff} {
			c := append(bytes.Repeat([]byte{byte(n)}, n-1), last)
			if got := r.hmac(t, ykslot.Slot1, c, ykslot.PadYubikit); !bytes.Equal(got, hmacSHA1(key.Reveal(), c)) {
				t.Errorf("%d bytes ending in %02x: another HMAC", n, last)
			}
		}
	}
}
