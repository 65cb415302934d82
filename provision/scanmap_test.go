package provision

import (
	"errors"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// turned is a map by which letters, digits, Tab and Enter are typed by keys that type others of them, or nothing, on a US keyboard.
func turned() ykslot.ScanMap {
	m := ykslot.DefaultScanMap()
	slices.Reverse(m[:32])
	slices.Reverse(m[32:42])
	m[0], m[43], m[44] = 0x84, 0x28, 0x64
	return m
}

// TestScanMapProven: a key with a scan map of its own is proven by touches that are read by it, whatever types; without it, nothing is.
func TestScanMapProven(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]Spec{
		"yubico otp": want(nil), "hotp": of(token.HOTP, Options{Digits: 8}), "static, strokes": of(token.Static, Options{Length: 16}),
	} {
		for _, known := range []bool{true, false} {
			b := newBench(t, vkey.YubiKey543)
			first := of(token.HOTP, Options{})
			first.Slot, first.AccessCode, first.Verify = 1, NoCode, token.NoProof
			if _, err := b.run(first); err != nil {
				t.Fatal(err)
			}
			if err := b.with(func(k Key) error { return k.WriteScanMap(t.Context(), turned(), secret.Bytes{}) }); err != nil {
				t.Fatal(err)
			}
			if b.hopeless = !known; known {
				b.scanMap = turned()
			}
			res, err := b.run(w)
			if proven := err == nil && res.Proof != nil; proven != known || !proven && !errors.Is(err, ErrNoTouch) {
				t.Errorf("%s, map known %v: proven %v, %v", name, known, proven, err)
			}
		}
	}
}
