package ykslot_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
)

func ptr[T any](v T) *T { return &v }

// tap is what a phone reads.
func (r *rig) tap() string {
	kind, text, _ := r.key.Tap()
	return fmt.Sprintf("%c%q", kind, text)
}

func TestWriteNDEF(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	uri, err := ykslot.NDEFURI("https://otp.example.com/?o=")
	if err != nil {
		t.Fatal(err)
	}
	text, err := ykslot.NDEFText("code ", "de")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey543, vkey.YubiKey571} {
		r := openRig(t, p, vkey.Options{})
		static := ykslot.EncryptedPassword{Key: bytesOf(16, 1), Short: true, Flags: ykslot.TypingFlags(r.Status().Version)}
		want(t, "empty slot", r.WriteNDEF(ctx, ykslot.Slot1, uri, none), true, ykslot.CauseTypesNothing)
		c := r.program(t, ykslot.Slot1, static)
		typed, _ := c.Press(0)
		before := r.Status().ProgSeq
		want(t, "URI", r.WriteNDEF(ctx, ykslot.Slot1, uri, none), false, 0)
		if got, should := r.tap(), fmt.Sprintf("U%q", "\x04otp.example.com/?o="+string(typed.Reveal())); got != should {
			t.Errorf("%v: %s, want %s", p.Version, got, should)
		}
		if r.Status().ProgSeq != before+1 {
			t.Errorf("sequence %d after %d", r.Status().ProgSeq, before)
		}
		r.program(t, ykslot.Slot2, static)
		want(t, "text", r.WriteNDEF(ctx, ykslot.Slot2, text, none), false, 0)
		if got, should := r.tap(), fmt.Sprintf("T%q", "\x02decode "+string(typed.Reveal())); got != should {
			t.Errorf("%v: %s, want %s", p.Version, got, should)
		}
		// The right code does not help: reference yubikey-otp.md §3.6.
		code := bytesOf(6, 7)
		want(t, "set code", r.Update(ctx, ykslot.Slot1, ykslot.UpdateFlags(c.Flags), code, none), false, 0)
		want(t, "slot with a code", r.WriteNDEF(ctx, ykslot.Slot1, uri, code), true, ykslot.CauseLocked)
		r.program(t, ykslot.Slot2, ykslot.ChallengeHMAC{Key: bytesOf(20, 1), Flags: ykslot.ChallengeFlags(r.Status().Version)})
		want(t, "challenge-response", r.WriteNDEF(ctx, ykslot.Slot2, uri, none), true, ykslot.CauseTypesNothing)
	}
	r := openRig(t, vkey.YubiKey527, vkey.Options{})
	r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1)})
	want(t, "no NFC", r.WriteNDEF(ctx, ykslot.Slot1, uri, none), true, ykslot.CauseNoNFC)
}

func TestWriteScanMap(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m := ykslot.DefaultScanMap()
	m[7] = 0x34 // i, for a Turkish host
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435, vkey.YubiKey543, vkey.YubiKey571} {
		r := openRig(t, p, vkey.Options{})
		var invalid *ykslot.InvalidError
		if err := r.WriteScanMap(ctx, m, none); !errors.As(err, &invalid) {
			t.Errorf("%v, empty: %v", p.Version, err)
		}
		c := r.program(t, ykslot.Slot1, ykslot.EncryptedPassword{PublicID: []byte{0x77}, Key: bytesOf(16, 1), Flags: ykslot.TypingFlags(r.Status().Version)})
		plain, _ := c.Press(0)
		want(t, "write", r.WriteScanMap(ctx, m, none), false, 0)
		if got := r.typed(t, ykslot.Slot1, plain); got[:2] != "''" {
			t.Errorf("%v: the map is not used", p.Version)
		}
		want(t, "restore", r.WriteScanMap(ctx, ykslot.ScanMap{}, none), false, 0)
		if got := r.typed(t, ykslot.Slot1, plain); got != string(plain.Reveal()) {
			t.Errorf("%v: the default is not back", p.Version)
		}
		code := bytesOf(6, 7)
		want(t, "lock", r.Write(ctx, ykslot.Slot1, otpConfig(t, r.Status().Version, 1, code), none), false, 0)
		want(t, "without code", r.WriteScanMap(ctx, m, none), true, ykslot.CauseNoAccessCode)
		want(t, "with code", r.WriteScanMap(ctx, m, code), false, 0)
	}
}

// TestUpdateTakesOver: what an update changes and what it leaves, by kind of slot, bit by bit: reference yubikey-otp.md §3.2.
func TestUpdateTakesOver(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		r := openRig(t, p, vkey.Options{})
		v := r.Status().Version
		for _, b := range []builder{
			ykslot.HOTP{Seed: bytesOf(20, 1), Digits: 8, TokenID: ykslot.TokenID{Bytes: []byte{1}, ModHex: 1}, Flags: ykslot.TypingFlags(v)},
			ykslot.EncryptedPassword{Key: bytesOf(16, 1), Short: true, Upper: true, Numbers: true, Flags: ykslot.TypingFlags(v)},
			ykslot.ChallengeHMAC{Key: bytesOf(20, 1), Touch: true, Flags: ykslot.ChallengeFlags(v)},
			ykslot.ChallengeYubico{Key: bytesOf(16, 1), Touch: true, Flags: ykslot.ChallengeFlags(v)},
		} {
			c := r.program(t, ykslot.Slot1, b)
			f := ykslot.Flags{Ext: ykslot.AllowUpdate, Ticket: ykslot.TabFirst | ykslot.AppendTab2, Config: ykslot.Pacing20ms}
			want(t, "update", r.Update(t.Context(), ykslot.Slot1, f, none, none), false, 0)
			now := r.key.Slot(1)
			got := ykslot.Flags{Ext: ykslot.ExtFlag(now.Ext), Ticket: ykslot.TicketFlag(now.Tkt), Config: ykslot.ConfigFlag(now.Cfg)}
			should := ykslot.Flags{
				Ext:    f.Ext,
				Ticket: c.Ticket&^ykslot.TicketUpdateMask | f.Ticket,
				Config: c.Flags.Config&^ykslot.ConfigUpdateMask | f.Config,
			}
			if m := c.Mode(); m == ykslot.ModeChallengeHMAC || m == ykslot.ModeChallengeYubico {
				should.Config = c.Flags.Config // its bits 04 and 08 are no pacing
			}
			if got != should {
				t.Errorf("%v, %v: %v, want %v", v, c.Mode(), got, should)
			}
			keep := ykslot.UpdateFlags(c.Flags)
			if keep.Ticket&^ykslot.TicketUpdateMask != 0 || keep.Config != 0 || keep.Ext != c.Ext {
				t.Errorf("%v: update flags %v", c.Mode(), keep)
			}
		}
		r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1)})
		want(t, "not updatable", r.Update(t.Context(), ykslot.Slot1, ykslot.Flags{}, none, none), true, ykslot.CauseNotUpdatable)
		var invalid *ykslot.InvalidError
		if err := r.Update(t.Context(), ykslot.Slot1, ykslot.Flags{Ext: ykslot.Dormant}, none, none); !errors.As(err, &invalid) {
			t.Errorf("dormant for ever: %v", err)
		}
	}
}

// TestDormant: a dormant slot does nothing until an update wakes it.
func TestDormant(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	f := ykslot.TypingFlags(r.Status().Version)
	f.Ext |= ykslot.Dormant
	c := r.program(t, ykslot.Slot1, ykslot.EncryptedPassword{Key: bytesOf(16, 1), Flags: f})
	if r.key.Touch(1) {
		t.Error("a dormant slot types")
	}
	f.Ext &^= ykslot.Dormant
	want(t, "wake", r.Update(t.Context(), ykslot.Slot1, f, none, none), false, 0)
	text, _ := c.Press(0)
	if got := r.typed(t, ykslot.Slot1, text); got != string(text.Reveal()) {
		t.Error("types something else")
	}
}

func TestSetMode(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey435} {
		r := openRig(t, p, vkey.Options{})
		r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1), Flags: ykslot.TypingFlags(r.Status().Version)})
		want(t, "OTP and CCID", r.SetMode(ctx, ykslot.USBMode{OTP: true, CCID: true, ChallengeTimeout: 30 * time.Second}), false, 0)
		r.key.PowerCycle()
		if got := vkey.Interfaces(r.key.USB().PID); got != vkey.OTP|vkey.CCID {
			t.Errorf("%v: interfaces %v", p.Version, got)
		}
		r.reopen(t)
		want(t, "lock", r.Update(ctx, ykslot.Slot1, ykslot.TypingFlags(r.Status().Version), none, none), false, 0)
		if r.Status().Version.Major == 3 {
			want(t, "set code", r.Update(ctx, ykslot.Slot1, ykslot.TypingFlags(r.Status().Version), bytesOf(6, 1), none), false, 0)
			want(t, "slot with a code", r.SetMode(ctx, ykslot.USBMode{OTP: true}), true, ykslot.CauseLocked)
		}
	}
}

func TestWriteDeviceConfig(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, p := range []vkey.Profile{vkey.YubiKey527, vkey.YubiKey543, vkey.YubiKey571} {
		r := openRig(t, p, vkey.Options{Serial: serial})
		otp := ykslot.CapOTP | ykslot.CapOATH
		want(t, "settings", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{
			USBEnabled: &otp, AutoEject: ptr(90 * time.Second), ChallengeTimeout: ptr(20 * time.Second), DeviceFlags: ptr(uint8(0x40)),
		}), false, 0)
		d, err := r.DeviceInfo(ctx)
		if err != nil || d.AutoEject != 90*time.Second || d.ChallengeTimeout != 20*time.Second || d.Locked {
			t.Errorf("%+v, %v", d, err)
		}
		lock, other, zeros := bytesOf(16, 5), bytesOf(16, 6), secret.New(make([]byte, 16))
		want(t, "lock", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{NewLockCode: lock}), false, 0)
		if !r.key.HoldsLockCode([16]byte(lock.Reveal())) {
			t.Error("not locked")
		}
		want(t, "without lock code", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{USBEnabled: &otp}), true, ykslot.CauseLockCode)
		want(t, "wrong lock code", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{USBEnabled: &otp, Unlock: other}), true, ykslot.CauseLockCode)
		want(t, "change lock code", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{NewLockCode: other, Unlock: lock}), false, 0)
		want(t, "remove lock code", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{NewLockCode: zeros, Unlock: other}), false, 0)
		if r.key.HoldsLockCode([16]byte(other.Reveal())) {
			t.Error("still locked")
		}
		unknown := ykslot.Capability(0x8000)
		want(t, "what the key lacks", r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{USBEnabled: &unknown}), true, ykslot.CauseNoInterface)

		// Reboot: the key goes, and comes back with another product ID.
		all := ykslot.CapOTP | ykslot.CapU2F | ykslot.CapFIDO2
		err = r.WriteDeviceConfig(ctx, ykslot.DeviceConfig{USBEnabled: &all, Reboot: true})
		if err != nil && !errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("reboot: %v", err)
		}
		r.reopen(t)
		if got := vkey.Interfaces(r.key.USB().PID); got != vkey.OTP|vkey.FIDO {
			t.Errorf("%v: interfaces %v after the reboot", p.Version, got)
		}
		if d, err := r.DeviceInfo(ctx); err != nil || d.USBEnabled != all {
			t.Errorf("%+v, %v", d, err)
		}
	}
}

// TestUpdateMasks: an update that would choose a mode, or a slot that nothing could wake, is refused before anything is sent; a slot that sleeps
// and may be updated wakes again.
func TestUpdateMasks(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	c := r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1), Flags: ykslot.TypingFlags(r.Status().Version)})
	r.key.ResetTransfers()
	for name, f := range map[string]ykslot.Flags{
		"a mode by its ticket flag":        {Ext: ykslot.AllowUpdate, Ticket: ykslot.OathHOTP},
		"a mode by its configuration flag": {Ext: ykslot.AllowUpdate, Config: ykslot.StaticTicket},
		"digits":                           {Ext: ykslot.AllowUpdate, Config: ykslot.HOTP8},
		"dormant for ever":                 {Ext: ykslot.Dormant},
	} {
		var invalid *ykslot.InvalidError
		if err := r.Update(t.Context(), ykslot.Slot1, f, none, none); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, sets := r.key.Transfers(); sets != 0 {
		t.Errorf("%d reports", sets)
	}
	f := ykslot.UpdateFlags(c.Flags)
	f.Ext |= ykslot.Dormant
	want(t, "asleep", r.Update(t.Context(), ykslot.Slot1, f, none, none), false, 0)
	if r.key.Touch(1) {
		t.Error("a dormant slot types")
	}
	want(t, "awake", r.Update(t.Context(), ykslot.Slot1, ykslot.UpdateFlags(c.Flags), none, none), false, 0)
	if !r.key.Touch(1) {
		t.Error("it does not wake")
	}
}

// TestUpdateFlags: pacing goes with an update of what types; in challenge-response its bits are length and touch, and stay. Source: reference
// yubikey-otp.md §3.2.
func TestUpdateFlags(t *testing.T) {
	t.Parallel()
	const paced = ykslot.Pacing10ms | ykslot.Pacing20ms
	for mode, m := range modeFlags {
		f := ykslot.Flags{Ext: 0xff, Ticket: m.Ticket | ykslot.ProtectCfg2 | 0x3f, Config: m.Config | paced}
		want := ykslot.Flags{Ext: 0xff, Ticket: 0x3f, Config: paced}
		if mode == 'y' || mode == 'm' {
			want.Config = 0
		}
		if got := ykslot.UpdateFlags(f); got != want {
			t.Errorf("mode %c: %v, want %v", mode, got, want)
		}
	}
}
