package pivapplet_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/usbhid"
)

// TestCounts: what a host burns is known, and a test can look at everything without burning anything.
func TestCounts(t *testing.T) {
	t.Parallel()
	k, app := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose+askPIN+wrongPIN+rightPIN+newPIN+badPUK+tries3DES+strings.Fields(tries3DES)[1]+" "+tries3DES+make9A)
	want := pivapplet.Counts{PINTried: 3, PINWrong: 1, PUKTried: 1, PUKWrong: 1, ManagementTried: 3, ManagementWrong: 1, Generated: 1}
	if got := app.Counts(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	app.ResetCounts()
	if got := app.Counts(); got != (pivapplet.Counts{}) {
		t.Errorf("after ResetCounts: %+v", got)
	}
	if pin, puk := app.Tries(); pin != 3 || puk != 2 {
		t.Errorf("%d and %d tries", pin, puk)
	}
	if !app.HoldsPIN("271828") || app.HoldsPIN("123456") || app.HoldsPIN("271828\xff\xff\xff") || !app.HoldsPUK("12345678") || app.HoldsPUK("") {
		t.Error("another PIN or PUK")
	}
	if !app.HoldsManagementKey(pivapplet.TripleDES, []byte(pivapplet.FactoryManagementKey)) || app.HoldsManagementKey(pivapplet.AES192, []byte(pivapplet.FactoryManagementKey)) {
		t.Error("another management key")
	}
	if s, ok := app.Slot(0x9a); !ok || !s.Generated || s.Algorithm != pivapplet.P256 || s.PIN != 2 || s.Touch != 1 || s.Public == nil {
		t.Errorf("slot 9a: %+v", s)
	}
	app.Burn(1, 0)
	if got := says(t, k, choose+askPIN); got != "63c1" {
		t.Errorf("one try: %s", got)
	}
	if got := says(t, k, unblock); got != "6983" {
		t.Errorf("blocked PUK: %s", got)
	}
	if pivapplet.Of(k) != app || pivapplet.Of(vkey.New(vkey.YubiKey543, vkey.Options{})) != nil {
		t.Error("Of finds another")
	}
}

// TestFaults: the command that fails has its effect or not, as it was asked for, and the one after it works.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name    string
		fault   pivapplet.Fault
		sw      string
		changed bool
	}{
		{"before", pivapplet.Fault{INS: 0x24, Nth: 1, When: pivapplet.Before}, "6f00", false},
		{"after", pivapplet.Fault{INS: 0x24, Nth: 1, When: pivapplet.After}, "6f00", true},
		{"another status", pivapplet.Fault{Nth: 2, When: pivapplet.Before, SW: 0x6581}, "6581", false},
		{"another instruction", pivapplet.Fault{INS: 0x47, Nth: 1, When: pivapplet.Before}, "9000", true},
		{"the next", pivapplet.Fault{INS: 0x24, Nth: 2, When: pivapplet.Before}, "9000", true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			k, app := card(vkey.YubiKey543, pivapplet.Options{})
			app.SetFault(v.fault)
			if got := says(t, k, choose+askPIN+newPIN); got != v.sw {
				t.Errorf("got %s, want %s", got, v.sw)
			}
			if app.HoldsPIN("271828") != v.changed {
				t.Errorf("changed: %v", !v.changed)
			}
		})
	}
	k, app := card(vkey.YubiKey543, pivapplet.Options{})
	app.SetFault(pivapplet.Fault{INS: 0x24, Nth: 1, When: pivapplet.After})
	says(t, k, choose+newPIN)
	if got := says(t, k, rightPIN+"0020008008323731383238ffff"); got != "9000" {
		t.Errorf("after the fault: %s", got)
	}
}

// TestGone: a key that leaves during a command, or hangs until somebody pulls it out, gives no answer.
func TestGone(t *testing.T) {
	t.Parallel()
	k, app := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose)
	app.SetFault(pivapplet.Fault{INS: 0x24, Nth: 1, When: pivapplet.After, Kind: pivapplet.Leave})
	if _, err := k.Card().Transmit(unhex(t, strings.TrimSpace(newPIN))); !errors.Is(err, usbhid.ErrGone) || !app.HoldsPIN("271828") {
		t.Errorf("leaves: %v", err)
	}
	k.Plug()
	if got := says(t, k, askPIN); got != "6d00" {
		t.Errorf("after plugging in: %s", got)
	}
	says(t, k, choose)
	app.SetFault(pivapplet.Fault{INS: 0x20, Nth: 1, When: pivapplet.Before, Kind: pivapplet.Hang})
	done := make(chan error)
	go func() {
		_, err := k.Card().Transmit([]byte{0, 0x20, 0, 0x80})
		done <- err
	}()
	k.Unplug()
	if err := <-done; !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("hangs: %v", err)
	}
}

// TestTouch: a policy that wants a touch gets one, none is 6982, and a cached one counts for 15 seconds.
func TestTouch(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	k, app := card(vkey.YubiKey543, pivapplet.Options{Now: func() time.Time { return now }})
	asked, comes := 0, true
	k.OnTouchWait(func() bool {
		asked++
		app.Counts() // does not wait for the card
		return comes
	})
	expect := func(what, apdus, sw string, touches int) {
		t.Helper()
		asked = 0
		if got := status(says(t, k, apdus)); got != sw || asked != touches {
			t.Errorf("%s: %s after %d touches, want %s after %d", what, got, asked, sw, touches)
		}
	}
	expect("generate", choose+tries3DES+"0047009a08ac06800111ab0102 "+rightPIN, "9000", 0)
	expect("always", sign9A+sign9A, "9000", 2)
	comes = false
	expect("no touch", sign9A, "6982", 1)
	expect("cached", choose+tries3DES+"0047009a08ac06800111ab0103 "+rightPIN+sign9A, "9000", 0) // by the touch before
	now = now.Add(15 * time.Second)
	expect("no longer cached", sign9A, "6982", 1)
	comes = true
	expect("cached anew", sign9A+sign9A, "9000", 1)
	expect("set", choose+tries3DES+"00fffffe1b039b18"+strings.Repeat("11", 24), "9000", 0)
	if got := says(t, k, "00f7009b"); got != "010103"+"02020002"+"050100"+"9000" {
		t.Errorf("metadata: %s", got)
	}
	now = now.Add(15 * time.Second)
	expect("management key", choose+tries3DES+make9A, "9000", 1)
	expect("management key with a wrong proof", choose+strings.Replace(tries3DES, "8008000000", "8008010000", 1), "6982", 0)
	comes = false
	expect("management key untouched", choose+tries3DES, "6982", 1)
	expect("nothing was proven", make9A, "6982", 0)
}

// TestTouchByHand: without a hook, Touch ends the wait.
func TestTouchByHand(t *testing.T) {
	t.Parallel()
	k, _ := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose+tries3DES+"0047009a08ac06800111ab0102 "+rightPIN)
	done := make(chan string)
	go func() { done <- status(says(t, k, sign9A)) }()
	for !k.Touch(1) {
		if k.LED() != vkey.Blinking {
			continue
		}
	}
	if got := <-done; got != "9000" {
		t.Errorf("got %s", got)
	}
}

// TestSwitchedOff: device info switches the application off and on; what is on it stays.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	k, _ := card(vkey.YubiKey543, pivapplet.Options{})
	says(t, k, choose+newPIN)
	for _, v := range []struct{ info, want string }{{"060302022b0c00", "6a82"}, {"060302023b0c00", "9000"}} {
		if !k.WriteDeviceInfo(unhex(t, v.info)) {
			t.Fatalf("%s refused", v.info)
		}
		k.Settle()
		if got := status(says(t, k, choose)); got != v.want {
			t.Errorf("%s: SELECT %s, want %s", v.info, got, v.want)
		}
	}
	if got := says(t, k, "0020008008323731383238ffff"); got != "9000" {
		t.Errorf("the PIN is gone: %s", got)
	}
}

// TestComplexity: a key that was ordered so refuses what is too simple, and tells so in device info.
func TestComplexity(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		profile vkey.Profile
		ordered bool
		sw      string
	}{{vkey.YubiKey571, true, "6985"}, {vkey.YubiKey571, false, "9000"}, {vkey.YubiKey543, true, "9000"}} {
		for pin, want := range map[string]string{"313131313131ffff": v.sw, "363534333231ffff": v.sw, "313232313232ffff": "9000"} {
			k := vkey.New(v.profile, vkey.Options{PINComplexity: v.ordered})
			app := pivapplet.Install(k, pivapplet.Options{})
			if got := says(t, k, choose+"0024008010313233343536ffff"+pin); got != want {
				t.Errorf("%v, %v, %s: %s, want %s", v.profile.Version, v.ordered, pin, got, want)
			}
			if left, _ := app.Tries(); left != 3 {
				t.Errorf("%s cost a try", pin)
			}
		}
	}
	for ordered, last := range map[bool]byte{false: 0, true: 1} {
		page := vkey.New(vkey.YubiKey571, vkey.Options{PINComplexity: ordered}).DeviceInfo(1)
		if page[len(page)-1] != last {
			t.Errorf("device info %x", page)
		}
	}
}
