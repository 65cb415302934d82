package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// lockedBy fails unless the key's settings are guarded just by a code that the store knows.
func (r *rig) lockedBy(want bool) {
	r.t.Helper()
	codes, err := r.open().Escrows(r.t.Context(), rigSerial, token.LockCode)
	if err != nil {
		r.t.Fatal(err)
	}
	defer destroyEscrows(codes)
	held := false
	for _, c := range codes {
		held = held || r.key.HoldsLockCode([16]byte(c.Secret.Reveal()))
	}
	if held != want || len(codes) > 1 || !want && len(codes) > 0 {
		r.t.Errorf("%d lock codes kept, one of them the key's: %v, want %v", len(codes), held, want)
	}
}

// TestDeviceConfig switches applications and locks settings, over both interfaces. The key changes its product ID and is found again; with OTP
// off it is reached as a smart card.
func TestDeviceConfig(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"auto", "ccid"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			r := newCardRig(t, vkey.YubiKey571, nil)
			config := func(words ...string) []string {
				return append([]string{"device", "config", "--transport", way, "--yes"}, words...)
			}
			r.must(config("--disable", "fido,openpgp", "--lock-code", "set")...)
			r.says("product ID changes from 0407 to 0405")
			r.lockedBy(true)
			r.out.Reset()
			r.must(config("--disable", "otp", "--dry-run", "-o", "json")...)
			var planned struct{ Settings settled }
			if err := json.Unmarshal(r.out.Bytes(), &planned); err != nil || planned.Settings.Product != "0404" || !planned.Settings.Locked || strings.Contains(planned.Settings.USBEnabled, "OTP") || r.key.USB().PID != 0x0405 {
				t.Errorf("dry run: %v, %+v", err, planned.Settings)
			}
			r.must(config("--disable", "otp")...)
			r.says("OTP goes")
			if pid := r.key.USB().PID; pid != 0x0404 {
				t.Errorf("PID %04x, want 0404", pid)
			}
			r.must(config("--enable", "otp,fido", "--usb", "--nfc")...)
			d := r.info()
			if d.Locked == "no" || d.Known == nil || d.Known.LockCode != "kept" || d.Interfaces != "OTP+FIDO+CCID" {
				t.Errorf("%+v, %+v", d, d.Known)
			}
			r.must(config("--lock-code", "remove", "--enable", "openpgp")...)
			r.lockedBy(false)
			r.must(config("--enable", "openpgp")...)
			r.says("nothing was changed")
		})
	}
}

// TestDeviceConfigFoundAgain: a key whose keyboard interface was asked for by name, and switched off, is found again as a smart card.
func TestDeviceConfigFoundAgain(t *testing.T) {
	t.Parallel()
	r := newCardRig(t, vkey.YubiKey571, nil)
	r.must("device", "config", "--transport", "hidraw", "--disable", "otp", "--yes")
	if pid := r.key.USB().PID; pid != 0x0406 {
		t.Errorf("PID %04x, want 0406", pid)
	}
}

func TestDeviceConfigRefused(t *testing.T) {
	t.Parallel()
	r := newCardRig(t, vkey.YubiKey571, nil)
	for _, test := range []struct {
		words []string
		says  string
		code  exitCode
	}{
		{[]string{"--yes"}, "say what is to change", exitUsage},
		{[]string{"--enable", "otpp"}, `no application "otpp"`, exitUsage},
		{[]string{"--lock-code", "00112233445566778899aabbccddeeff"}, "never a flag", exitUsage},
		{[]string{"--disable", "otp,fido,oath,piv,openpgp", "--yes"}, "never be reached again", exitRefused},
		{[]string{"--enable", "piv", "--disable", "piv", "--yes"}, "switched on and off", exitUsage},
	} {
		if code := r.run(append([]string{"device", "config"}, test.words...)...); code != test.code {
			t.Errorf("%q: exit code %d, want %d", test.words, code, test.code)
		}
		r.says(test.says)
	}
	r.must("device", "config", "--disable", "piv", "--lock-code", "set", "--dry-run")
	r.lockedBy(false)
	r.stdinTTY = false
	if code := r.run("device", "config", "--disable", "piv"); code != exitRefused {
		t.Errorf("without a yes: exit code %d", code)
	}
	if pid := r.key.USB().PID; pid != 0x0407 {
		t.Errorf("PID %04x", pid)
	}
}

// TestDeviceConfigLockedByOthers: a code that the store does not know is named as the reason.
func TestDeviceConfigLockedByOthers(t *testing.T) {
	t.Parallel()
	r := newCardRig(t, vkey.YubiKey571, nil)
	r.must("device", "config", "--lock-code", "set", "--yes")
	if err := r.open().SettleEscrow(t.Context(), rigSerial, token.LockCode, 0); err != nil { // as another store
		t.Fatal(err)
	}
	if code := r.run("device", "config", "--disable", "piv", "--yes"); code != exitRefused {
		t.Errorf("exit code %d", code)
	}
	r.says("locked by a code that this store does not know")
}

// TestDeviceConfigByMode: a NEO switches whole interfaces, unless a slot of it has an access code.
func TestDeviceConfigByMode(t *testing.T) {
	t.Parallel()
	r := newCardRig(t, vkey.YubiKeyNEO, nil)
	r.must("device", "config", "--disable", "ccid", "--yes")
	r.says("when the key is plugged in again")
	r.key.Unplug()
	r.key.Plug()
	if pid := r.key.USB().PID; pid != 0x0114 {
		t.Errorf("PID %04x, want 0114", pid)
	}
	r.must("provision", "--slot", "2")
	if code := r.run("device", "config", "--enable", "ccid", "--yes"); code != exitRefused {
		t.Errorf("with an access code: exit code %d", code)
	}
	r.says("slot access-code remove")
}

// TestKillDeviceConfig kills the program before every use that it makes of the world outside while it locks settings and switches applications, and calls
// it again: the store always has the code that the key has.
func TestKillDeviceConfig(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a process for each step")
	}
	words := []string{"device", "config", "--disable", "piv", "--lock-code", "set", "--yes"}
	for n := 1; ; n++ {
		r := newRig(t, 2)
		r.must("init")
		keys := serveKey(t, r)
		killed := r.killed(keys, 2, n, words...)
		if killed {
			code := r.child(keys, 2, words...)
			if code == int(exitDevice) { // it was still restarting
				code = r.child(keys, 2, words...)
			}
			if code != 0 {
				t.Fatalf("step %d: again: exit code %d", n, code)
			}
		}
		t.Run(fmt.Sprint("step ", n), func(t *testing.T) { r.t = t; r.lockedBy(true) })
		if !killed {
			if n < 20 {
				t.Fatalf("only %d steps were seen", n)
			}
			return
		}
	}
}

func TestModelName(t *testing.T) {
	t.Parallel()
	model := func(pid uint16) usbhid.Model { m, _ := usbhid.ModelOf(pid); return m }
	v := func(major, minor uint8) ykslot.Version { return ykslot.Version{Major: major, Minor: minor} }
	for _, test := range []struct {
		v    ykslot.Version
		info ykslot.DeviceInfo
		pid  uint16
		want string
	}{
		{v(5, 4), ykslot.DeviceInfo{FormFactor: 1, NFCSupported: 1}, 0x0407, "YubiKey 5 NFC"},
		{v(5, 4), ykslot.DeviceInfo{FormFactor: 3}, 0x0407, "YubiKey 5C"},
		{v(5, 7), ykslot.DeviceInfo{FormFactor: 3, NFCSupported: 1, FIPS: true}, 0x0407, "YubiKey 5C NFC FIPS"},
		{v(5, 4), ykslot.DeviceInfo{FormFactor: 5}, 0x0407, "YubiKey 5Ci"},
		{v(5, 7), ykslot.DeviceInfo{FormFactor: 3, NFCSupported: 1, SecurityKey: true}, 0x0402, "Security Key C NFC"},
		{v(5, 9), ykslot.DeviceInfo{FormFactor: 200}, 0x0407, "YubiKey 5"},
		{v(4, 3), ykslot.DeviceInfo{FormFactor: 2}, 0x0407, "YubiKey 4 Nano"},
		{v(4, 4), ykslot.DeviceInfo{FormFactor: 4}, 0x0407, "YubiKey C Nano FIPS"},
		{v(3, 4), ykslot.DeviceInfo{}, 0x0116, "YubiKey NEO"},
		{v(2, 4), ykslot.DeviceInfo{}, 0x0010, "YubiKey 2"},
	} {
		if got := modelName(test.v, test.info, model(test.pid)); got != test.want {
			t.Errorf("%v, form %d: %q, want %q", test.v, test.info.FormFactor, got, test.want)
		}
	}
}
