package ykslot_test

import (
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/ykslot"
)

// The tests TestQuirk… are the rows of reference yubikey-otp.md §1.7, the gates of §3.4 and what §3.5 and §3.6 say of access codes:
// each fails without what ykslot does about it. Those of the card are in card_test.go.

// TestQuirkStaleSequence: a NEO shows an old programming sequence after power-up, until a frame was run.
func TestQuirkStaleSequence(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKeyNEO, vkey.Options{})
	v := r.Status().Version
	want(t, "first write", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none), false, 0)
	r.key.PowerCycle()
	r.reopen(t)
	want(t, "write after power-up", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 2, none), none), false, 0)
	r.holds(t, "after power-up", 1, 2)
}

// TestQuirkReclaim: after the card was used, the OTP interface ignores frames for a while and shows its status. Nothing is
// refused, hidden or unanswered for that reason.
func TestQuirkReclaim(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435, vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571} {
		r := openRig(t, p, vkey.Options{Serial: serial, Reclaim: 3 * time.Second})
		v, key := r.Status().Version, bytesOf(20, 1)
		r.program(t, ykslot.Slot2, ykslot.ChallengeHMAC{Key: key, Flags: ykslot.ChallengeFlags(v)})
		for name, call := range map[string]func() error{
			"write":  func() error { return r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none) },
			"serial": func() error { _, err := r.Serial(t.Context()); return err },
			"challenge": func() error {
				_, err := r.ChallengeHMAC(t.Context(), ykslot.Slot2, []byte("x"), 0, nil)
				return err
			},
			"device info": func() error {
				_, err := r.DeviceInfo(t.Context())
				var unsupported *ykslot.UnsupportedError
				if errors.As(err, &unsupported) {
					return nil
				}
				return err
			},
		} {
			if _, err := r.key.Card().Transmit(fromHex(t, "00a4040008a000000527471117")); err != nil {
				t.Fatal(err)
			}
			start := r.now
			want(t, name, call(), false, 0)
			if took := r.now.Sub(start); took > 5*time.Second {
				t.Errorf("%v: %s took %v", v, name, took)
			}
		}
		// A refusal stays one, and does not wait.
		if _, err := r.key.Card().Transmit(fromHex(t, "00a4040008a000000527471117")); err != nil {
			t.Fatal(err)
		}
		want(t, "write with code", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 2, bytesOf(6, 1)), none), false, 0)
		start := r.now
		want(t, "write without code", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 3, none), none), true, ykslot.CauseNoAccessCode)
		if took := r.now.Sub(start); took > time.Second {
			t.Errorf("%v: a refusal took %v", v, took)
		}
		r.holds(t, "refused", 1, 2)
	}
}

// TestQuirkSerialHiddenByFlags: the serial is readable with both slots empty, and if one slot says so.
func TestQuirkSerialHiddenByFlags(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		r := openRig(t, p, vkey.Options{Serial: serial})
		v := r.Status().Version
		visible := func(should bool) {
			t.Helper()
			n, err := r.Serial(t.Context())
			if (err == nil && n == serial) != should || !should && !errors.Is(err, ykslot.ErrSerialHidden) {
				t.Errorf("%v: %d, %v", v, n, err)
			}
		}
		visible(true)
		hidden := ykslot.TypingFlags(v)
		hidden.Ext &^= ykslot.SerialAPIVisible
		r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1), Flags: hidden})
		visible(false)
		r.program(t, ykslot.Slot2, ykslot.HOTP{Seed: bytesOf(20, 1), Flags: ykslot.TypingFlags(v)})
		visible(true)
	}
}

// TestQuirkHiddenOnNEO: a NEO that hides its serial cannot be told from one that ignores frames. It is waited for once.
func TestQuirkHiddenOnNEO(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKeyNEO, vkey.Options{Serial: serial, HideSerial: true})
	for i, most := range []time.Duration{5 * time.Second, 200 * time.Millisecond} {
		start := r.now
		_, err := r.Serial(t.Context())
		if took := r.now.Sub(start); !errors.Is(err, ykslot.ErrSerialHidden) || took > most {
			t.Errorf("call %d: %v after %v", i+1, err, took)
		}
	}
}

// TestQuirkHiddenOnOne: a key of firmware 2 has one interface, which nothing reclaims: it is not waited for.
func TestQuirkHiddenOnOne(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey24, vkey.Options{Serial: serial, HideSerial: true})
	start := r.now
	if _, err := r.Serial(t.Context()); !errors.Is(err, ykslot.ErrSerialHidden) || r.now.Sub(start) > time.Second {
		t.Errorf("%v after %v", err, r.now.Sub(start))
	}
}

// TestQuirkReclaimedAndHidden: a NEO that hides its serial and ignores frames too does what it was told once it is back.
func TestQuirkReclaimedAndHidden(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]func(*rig) error{
		"write": func(r *rig) error {
			return r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none)
		},
		"challenge": func(r *rig) error {
			_, err := r.ChallengeHMAC(t.Context(), ykslot.Slot2, []byte("x"), 0, nil)
			return err
		},
	} {
		r := openRig(t, vkey.YubiKeyNEO, vkey.Options{Serial: serial, HideSerial: true, Reclaim: 3 * time.Second})
		r.program(t, ykslot.Slot2, ykslot.ChallengeHMAC{Key: bytesOf(20, 1), Flags: ykslot.ChallengeFlags(r.Status().Version)})
		r.key.PowerCycle()
		if _, err := r.key.Card().Transmit(fromHex(t, "00a4040008a000000527471117")); err != nil {
			t.Fatal(err)
		}
		r.reopen(t) // in vain: the frame that freshens the sequence is ignored
		want(t, name, call(r), false, 0)
	}
}

// TestQuirkReclaimedForLong: a key that ignores frames for longer than it may neither hides, nor refuses, nor did anything.
func TestQuirkReclaimedForLong(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{Serial: serial, Reclaim: time.Hour})
	if _, err := r.key.Card().Transmit(fromHex(t, "00a4040008a000000527471117")); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"write": func() error {
			return r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none)
		},
		"serial": func() error { _, err := r.Serial(t.Context()); return err },
	} {
		if err := call(); !errors.Is(err, ykslot.ErrNotAnswering) || errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestQuirkModeOfAnEmptyKey: the sequence stays 0 when a key without configured slot takes a mode.
func TestQuirkModeOfAnEmptyKey(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435} {
		r := openRig(t, p, vkey.Options{})
		want(t, "OTP only", r.SetMode(t.Context(), ykslot.USBMode{OTP: true}), false, 0)
		r.key.PowerCycle()
		if got := vkey.Interfaces(r.key.USB().PID); got != vkey.OTP {
			t.Errorf("%v: interfaces %v", p.Version, got)
		}
	}
}

// TestQuirkWrongCapabilities: 4.2.4 names too few.
func TestQuirkWrongCapabilities(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 2, Build: 4}), vkey.Options{Serial: serial})
	d, err := r.DeviceInfo(t.Context())
	if err != nil || d.USBSupported != 0x3f {
		t.Errorf("%v, %v", d.USBSupported, err)
	}
}

// TestQuirkCodeStays: from 4.3.2 to 4.3.5 an update keeps the access code and says that it was accepted.
func TestQuirkCodeStays(t *testing.T) {
	t.Parallel()
	code := bytesOf(6, 9)
	for build, gated := range map[byte]bool{1: false, 2: true, 5: true, 6: false} {
		r := openRig(t, vkey.YubiKey435.At(vkey.Version{Major: 4, Minor: 3, Build: build}), vkey.Options{})
		v := r.Status().Version
		want(t, "write", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none), false, 0)
		err := r.Update(t.Context(), ykslot.Slot1, ykslot.TypingFlags(v), code, none)
		var unsupported *ykslot.UnsupportedError
		if errors.As(err, &unsupported) != gated || r.key.HoldsAccessCode(1, [6]byte(code.Reveal())) == gated {
			t.Errorf("%v: %v", v, err)
		}
	}
}

// TestQuirkNEOBeta: firmware 2.1.4 to 2.1.x has NDEF and one slot, and from 2.1.7 HOTP counters.
func TestQuirkNEOBeta(t *testing.T) {
	t.Parallel()
	p := vkey.YubiKey24.At(vkey.Version{Major: 2, Minor: 1, Build: 7})
	p.NFC, p.Quirks = true, p.Quirks|vkey.NEOBeta
	r := openRig(t, p, vkey.Options{})
	c := r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1), MovingFactor: 160, Flags: ykslot.Flags{Ticket: ykslot.AppendCR}})
	uri, err := ykslot.NDEFURI(ykslot.DefaultNDEF)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "NDEF", r.WriteNDEF(t.Context(), ykslot.Slot1, uri, none), false, 0)
	if text, _ := c.Press(160); r.typed(t, ykslot.Slot1, text) != string(text.Reveal()) {
		t.Error("another code")
	}
	for name, err := range map[string]error{
		"write": r.Write(t.Context(), ykslot.Slot2, c, none), "NDEF": r.WriteNDEF(t.Context(), ykslot.Slot2, uri, none), "delete": r.Delete(t.Context(), ykslot.Slot2, none),
	} {
		var unsupported *ykslot.UnsupportedError
		if !errors.As(err, &unsupported) || unsupported.What != "slot 2" {
			t.Errorf("%s of slot 2: %v", name, err)
		}
	}
}

// TestQuirkLastSlotDeleted: the sequence falls to 0, and that is a success; emptying an empty key is none.
func TestQuirkLastSlotDeleted(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		r := openRig(t, p, vkey.Options{})
		for range 3 {
			want(t, "write", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, r.Status().Version, 1, none), none), false, 0)
		}
		want(t, "delete", r.Delete(t.Context(), ykslot.Slot1, none), false, 0)
		if r.Status().ProgSeq != 0 {
			t.Errorf("sequence %d", r.Status().ProgSeq)
		}
		want(t, "delete again", r.Delete(t.Context(), ykslot.Slot1, none), true, ykslot.CauseEmpty)
	}
}

// TestQuirkSequenceWraps: more writes than the sequence counts, none of which is taken for refused.
func TestQuirkSequenceWraps(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	cfg := otpConfig(t, r.Status().Version, 1, none)
	for i := range 300 {
		if err := r.Write(t.Context(), ykslot.Slot1, cfg, none); err != nil {
			t.Fatalf("write %d, sequence %d: %v", i+1, r.Status().ProgSeq, err)
		}
	}
}

// TestQuirkSwapWithEmptySlot: one slot may be empty; a slot that does not allow updates, or has an access code, stays.
func TestQuirkSwapWithEmptySlot(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		r := openRig(t, p, vkey.Options{})
		v := r.Status().Version
		want(t, "write", r.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none), false, 0)
		want(t, "swap", r.Swap(t.Context()), false, 0)
		r.holds(t, "swapped", 2, 1)
		fixed := otpConfig(t, v, 2, none)
		fixed.Ext &^= ykslot.AllowUpdate
		want(t, "write", r.Write(t.Context(), ykslot.Slot1, fixed, none), false, 0)
		want(t, "swap", r.Swap(t.Context()), true, ykslot.CauseNotUpdatable)
		r.holds(t, "stays", 1, 2)
	}
}

// TestFeatureGates: each row of reference yubikey-otp.md §3.4, at its edges.
func TestFeatureGates(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		feature ykslot.Feature
		has     string // versions x.y.z, one digit each
		lacks   string
	}{
		{"slot 2", ykslot.FeatureSlot2, "200 213 220 543", "100 199 214 219"},
		{"HOTP", ykslot.FeatureHOTP, "210 571", "209 100"},
		{"first HOTP counter", ykslot.FeatureHOTPMovingFactor, "217 220 300", "216 210"},
		{"challenge-response", ykslot.FeatureChallengeResponse, "220 571", "219"},
		{"serial", ykslot.FeatureSerial, "220 571", "219"},
		{"update", ykslot.FeatureUpdate, "230 571", "229"},
		{"swap", ykslot.FeatureSwap, "230 571", "229"},
		{"access code by update", ykslot.FeatureUpdateAccessCode, "230 431 436 571", "229 432 435"},
		{"NDEF", ykslot.FeatureNDEF, "214 219 300 343 399 500 571", "213 220 243 299 400 435 499"},
		{"scan map", ykslot.FeatureScanMap, "300 571", "299"},
		{"mode", ykslot.FeatureMode, "300 343 435 499", "243 299 500 571"},
		{"device info", ykslot.FeatureDeviceInfo, "410 571", "409 343"},
		{"device settings", ykslot.FeatureDeviceConfig, "500 571", "499 435"},
	} {
		for versions, has := range map[string]bool{tc.has: true, tc.lacks: false} {
			for i := 0; i < len(versions); i += 4 {
				v := ykslot.Version{Major: versions[i] - '0', Minor: versions[i+1] - '0', Patch: versions[i+2] - '0'}
				err := tc.feature.Supported(v)
				var unsupported *ykslot.UnsupportedError
				if (err == nil) != has || err != nil && (!errors.As(err, &unsupported) || unsupported.Have != v || unsupported.Needs == "") {
					t.Errorf("%s on %v: %v", tc.name, v, err)
				}
			}
		}
	}
}

// TestGatesBeforeSending: what the firmware cannot do sends nothing.
func TestGatesBeforeSending(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	uri, err := ykslot.NDEFURI(ykslot.DefaultNDEF)
	if err != nil {
		t.Fatal(err)
	}
	old := vkey.YubiKey24.At(vkey.Version{Major: 2, Minor: 1, Build: 3})
	for _, tc := range []struct {
		name string
		on   vkey.Profile
		call func(*rig) error
	}{
		{"challenge on 2.1", old, func(r *rig) error { _, err := r.ChallengeHMAC(ctx, 1, []byte{1}, 0, nil); return err }},
		{"Yubico challenge on 2.1", old, func(r *rig) error { _, err := r.ChallengeYubico(ctx, 1, [6]byte{}, nil); return err }},
		{"NDEF on 2.4", vkey.YubiKey24, func(r *rig) error { return r.WriteNDEF(ctx, 1, uri, none) }},
		{"NDEF on 4", vkey.YubiKey435, func(r *rig) error { return r.WriteNDEF(ctx, 1, uri, none) }},
		{"scan map on 2.4", vkey.YubiKey24, func(r *rig) error { return r.WriteScanMap(ctx, ykslot.DefaultScanMap(), none) }},
		{"mode on 2.4", vkey.YubiKey24, func(r *rig) error { return r.SetMode(ctx, ykslot.USBMode{OTP: true}) }},
		{"mode on 5", vkey.YubiKey543, func(r *rig) error { return r.SetMode(ctx, ykslot.USBMode{OTP: true}) }},
		{"settings on 4", vkey.YubiKey435, func(r *rig) error { return r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{Reboot: true}) }},
		{"update on 2.1", old, func(r *rig) error { return r.Update(ctx, 1, ykslot.Flags{}, none, none) }},
		{"keypad on 4", vkey.YubiKey435, func(r *rig) error {
			return r.Update(ctx, 1, ykslot.Flags{Ext: ykslot.UseNumericKeypad}, none, none)
		}},
	} {
		r := openRig(t, tc.on, vkey.Options{})
		r.key.ResetTransfers()
		err := tc.call(r)
		var unsupported *ykslot.UnsupportedError
		if _, sets := r.key.Transfers(); !errors.As(err, &unsupported) || sets != 0 {
			t.Errorf("%s: %d reports, %v", tc.name, sets, err)
		}
	}
}

// TestLateStatus: a status that comes later than a refusal is believed to stand is no refusal and no success: the outcome is unknown.
func TestLateStatus(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	cfg := otpConfig(t, r.Status().Version, 1, none)
	for n := 1; n <= 8; n++ { // for more than that nobody waits
		r.key.SetFaults(vkey.Faults{StaleStatus: n})
		err := r.Write(t.Context(), ykslot.Slot1, cfg, none)
		if err != nil && !errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("%d old statuses: %v, but the slot is written", n, err)
		}
		r.key.SetFaults(vkey.Faults{})
		if _, err := r.ReadStatus(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
