package main

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
)

// TestOpenerIsSpared: what the store opens with is neither wiped nor replaced, and its PIN is none that only the store knows.
func TestOpenerIsSpared(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.ends(exitDone, "opens only with key 11", "init", "--unlock", "piv")
	pin, puk := filepath.Join(t.TempDir(), "pin"), filepath.Join(t.TempDir(), "puk")
	for path, text := range map[string]string{pin: "hq41zn\n", puk: "12345678\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := one.keys[unlockSlot]
	for _, test := range []struct {
		says  string
		words []string
	}{
		{"store unlock remove 11", []string{"reset", "--reason", "returned", "--yes"}},
		{"store unlock remove 11", []string{"init", "--reset", "--reason", "returned", "--yes"}},
		{"store unlock remove 11", []string{"generate", "9d", "--overwrite", "--reason", "test", "--yes"}},
		{"--new-pin-file", []string{"init", "--pin-file", pin}},
		{"--new-pin-file", []string{"unblock", "--puk-file", puk}},
	} {
		r.types(p, "hq41zn")
		r.ends(exitRefused, test.says, append([]string{"piv"}, test.words...)...)
	}
	r.types(p, "hq41zn")
	r.ends(exitDone, "", "piv", "generate", "9c", "--overwrite", "--reason", "test", "--yes")
	if one.pin != "hq41zn" || one.keys[unlockSlot] != key {
		t.Error("the PIN or the key is another")
	}
}

// openerBus has a key with settings, whose PIV application is a fake.
type openerBus struct {
	bus
	cardBus
	one *fakePIV
}

func (b openerBus) openPIV(ctx context.Context, _ usbhid.Attached) (piv.Card, error) {
	return pivBench{keys: []*fakePIV{b.one}}.openPIV(ctx, usbhid.Attached{Path: b.one.serial.String()})
}

// TestOpenerKeepsPIV: a key that opens the store keeps its PIV application: neither could be opened again to switch it on.
func TestOpenerKeepsPIV(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		profile vkey.Profile
		words   []string
		refused bool
	}{
		"piv":         {vkey.YubiKey571, []string{"--disable", "piv"}, true},
		"ccid":        {vkey.YubiKey571, []string{"--disable", "ccid"}, true},
		"ccid, dry":   {vkey.YubiKey571, []string{"--disable", "ccid", "--dry-run"}, true},
		"ccid, 4.3.5": {vkey.YubiKey435, []string{"--disable", "ccid"}, true},
		"nfc":         {vkey.YubiKey571, []string{"--disable", "piv", "--nfc"}, false},
		"fido":        {vkey.YubiKey571, []string{"--disable", "fido"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newCardRig(t, test.profile, nil)
			one := newFakePIV(rigSerial)
			r.bus = openerBus{r.bus, r.bus.(cardBus), one}
			r.stdinTTY = true
			r.readSecret = func(context.Context) (string, error) { return "hq41zn", nil }
			dir := filepath.Join(t.TempDir(), "other")
			r.must("init", "--unlock", "piv", "--store", dir)
			words := append([]string{"device", "config", "--yes", "--store", dir}, test.words...)
			if test.refused {
				r.ends(exitRefused, "opens the sealing key of this store, and without PIV it does not", words...)
			} else {
				r.must(words...)
			}
		})
	}
}
