package provision_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

const allApps = ykslot.CapOTP | ykslot.CapU2F | ykslot.CapFIDO2 | ykslot.CapOpenPGP | ykslot.CapPIV | ykslot.CapOATH

func TestPlanSettings(t *testing.T) {
	t.Parallel()
	v5 := provision.SettingsHave{Serial: 7, Version: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, Info: ykslot.DeviceInfo{
		USBSupported: allApps, USBEnabled: allApps, NFCSupported: allApps, NFCEnabled: ykslot.CapOTP}}
	v5.Model, _ = usbhid.ModelOf(0x0407)
	locked := v5
	locked.Info.Locked = true
	neo := provision.SettingsHave{Serial: 7, Version: ykslot.Version{Major: 3, Minor: 4, Patch: 3}}
	neo.Model, _ = usbhid.ModelOf(0x0116)
	guarded := neo
	guarded.Guarded = true
	fourth := neo
	fourth.Version = ykslot.Version{Major: 4, Minor: 3, Patch: 5}
	fourth.Model, _ = usbhid.ModelOf(0x0407)
	mine := locked
	mine.Codes = []token.Escrow{{ID: 1}}
	fido := ykslot.CapU2F | ykslot.CapFIDO2
	card := v5 // without OTP, and with the bit of CCID itself
	card.Info.USBSupported, card.Info.USBEnabled = allApps|ykslot.CapCCID, allApps&^ykslot.CapOTP|ykslot.CapCCID
	card.Model, _ = usbhid.ModelOf(0x0406)
	radio := neo // in an NFC reader, which promises nothing but the card itself
	radio.Model = usbhid.Model{Interfaces: usbhid.CCID}
	fourthCard := fourth
	fourthCard.Model, _ = usbhid.ModelOf(0x0406)
	old := provision.SettingsHave{Version: ykslot.Version{Major: 2, Minor: 4, Patch: 3}}
	var unsupported *ykslot.UnsupportedError
	for _, test := range []struct {
		name    string
		want    provision.SettingsSpec
		have    provision.SettingsHave
		after   usbhid.Interfaces
		changes bool
		err     error // or &unsupported
	}{
		{"no FIDO", provision.SettingsSpec{Disable: ykslot.CapU2F | ykslot.CapFIDO2, USB: true}, v5, usbhid.OTP | usbhid.CCID, true, nil},
		{"half of FIDO keeps its interface", provision.SettingsSpec{Disable: ykslot.CapU2F, USB: true}, v5, usbhid.OTP | usbhid.FIDO | usbhid.CCID, true, nil},
		{"only NFC", provision.SettingsSpec{Enable: ykslot.CapPIV, NFC: true}, v5, usbhid.OTP | usbhid.FIDO | usbhid.CCID, true, nil},
		{"nothing new", provision.SettingsSpec{Enable: ykslot.CapPIV, USB: true}, v5, usbhid.OTP | usbhid.FIDO | usbhid.CCID, false, nil},
		{"nothing left", provision.SettingsSpec{Disable: allApps, USB: true}, v5, 0, false, provision.ErrNothingLeft},
		{"not there", provision.SettingsSpec{Enable: ykslot.CapHSMAuth, USB: true}, v5, 0, false, provision.ErrNotSupported},
		{"on and off", provision.SettingsSpec{Enable: ykslot.CapPIV, Disable: ykslot.CapPIV, USB: true}, v5, 0, false, provision.ErrBadSpec},
		{"locked by others", provision.SettingsSpec{Disable: ykslot.CapPIV, USB: true}, locked, 0, false, provision.ErrLockUnknown},
		{"locked by others, nothing new", provision.SettingsSpec{Enable: ykslot.CapPIV, USB: true}, locked, usbhid.OTP | usbhid.FIDO | usbhid.CCID, false, nil},
		{"only FIDO is left", provision.SettingsSpec{Disable: allApps &^ fido, USB: true, Lock: provision.KeepLock}, v5, usbhid.FIDO, true, nil},
		{"only FIDO is left, locked", provision.SettingsSpec{Disable: allApps &^ fido, USB: true, Lock: provision.KeepLock}, mine, 0, false, provision.ErrLockedOut},
		{"only FIDO is left, locked now", provision.SettingsSpec{Disable: allApps &^ fido, USB: true, Lock: provision.SetLock}, v5, 0, false, provision.ErrLockedOut},
		{"only FIDO is left, unlocked now", provision.SettingsSpec{Disable: allApps &^ fido, USB: true, Lock: provision.RemoveLock}, mine, usbhid.FIDO, true, nil},
		{"only FIDO is left after CCID went", provision.SettingsSpec{Disable: ykslot.CapCCID, USB: true, Lock: provision.KeepLock}, card, usbhid.FIDO | usbhid.CCID, true, nil},
		{"4.3.5, only FIDO is left", provision.SettingsSpec{Disable: ykslot.CapCCID, USB: true, Lock: provision.KeepLock}, fourthCard, usbhid.FIDO, true, nil},
		{"NEO", provision.SettingsSpec{Disable: ykslot.CapCCID, USB: true, Lock: provision.KeepLock}, neo, usbhid.OTP | usbhid.FIDO, true, nil},
		{"NEO, one application", provision.SettingsSpec{Disable: ykslot.CapPIV, USB: true, Lock: provision.KeepLock}, neo, 0, false, provision.ErrWholeOnly},
		{"NEO, an access code", provision.SettingsSpec{Disable: ykslot.CapCCID, USB: true, Lock: provision.KeepLock}, guarded, 0, false, provision.ErrGuarded},
		{"NEO over NFC", provision.SettingsSpec{Enable: ykslot.CapOTP, USB: true, Lock: provision.KeepLock}, radio, 0, false, provision.ErrBadSpec},
		{"NEO, lock code", provision.SettingsSpec{Lock: provision.SetLock}, neo, 0, false, unsupported},
		{"4.3.5", provision.SettingsSpec{Disable: ykslot.CapU2F | ykslot.CapFIDO2, USB: true, Lock: provision.KeepLock}, fourth, usbhid.OTP | usbhid.CCID, true, nil},
		{"2.4", provision.SettingsSpec{Disable: ykslot.CapOTP, USB: true, Lock: provision.KeepLock}, old, 0, false, unsupported},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p, err := provision.PlanSettings(test.want, test.have)
			var old *ykslot.UnsupportedError
			if test.err == error(unsupported) {
				if !errors.As(err, &old) {
					t.Errorf("%v, want an UnsupportedError", err)
				}
				return
			}
			if !errors.Is(err, test.err) || p.ModelAfter.Interfaces != test.after || p.Changes != test.changes {
				t.Errorf("%v, %v, changes %v", err, p.ModelAfter.Interfaces, p.Changes)
			}
			if only := strings.HasPrefix(test.name, "only FIDO") || strings.HasSuffix(test.name, "only FIDO is left"); err == nil && p.Unreachable != only {
				t.Errorf("unreachable: %v, notes %q", p.Unreachable, p.Notes)
			}
			checkNotes(t, p, test.have.Version)
		})
	}
}

// checkNotes looks for what the operator should be told.
func checkNotes(t *testing.T, p provision.SettingsPlan, on ykslot.Version) {
	t.Helper()
	if p.Unreachable && strings.Contains(strings.Join(p.Notes, ""), "config mode") != (on.Major < 5) {
		t.Errorf("the way back is another firmware's: %q", p.Notes)
	}
	if p.Changes && p.ModelAfter.ProductID != p.Model.ProductID && len(p.Notes) < 2 {
		t.Errorf("too few notes: %q", p.Notes)
	}
}

// vault is where lock codes are kept, durable at once. cut fails everything from a step on, as kill -9 does.
type vault struct {
	codes []token.Escrow
	cut   *countdown
}

var errCut = errors.New("cut")

// countdown fails from the n-th step on.
type countdown struct{ left int }

func (c *countdown) step() error {
	if c.left--; c.left < 0 {
		return errCut
	}
	return nil
}

func (v *vault) KeepEscrow(_ context.Context, _ token.Serial, _ token.EscrowKind, code secret.Bytes) (token.EscrowID, error) {
	if err := v.cut.step(); err != nil {
		return 0, err
	}
	id := token.EscrowID(len(v.codes) + 1)
	for _, c := range v.codes {
		id = max(id, c.ID+1)
	}
	v.codes = slices.Insert(v.codes, 0, token.Escrow{ID: id, Secret: code.Clone()})
	return id, v.cut.step()
}

func (v *vault) SettleEscrow(_ context.Context, _ token.Serial, _ token.EscrowKind, held token.EscrowID) error {
	if err := v.cut.step(); err != nil {
		return err
	}
	v.codes = slices.DeleteFunc(v.codes, func(c token.Escrow) bool { return c.ID != held })
	if held != 0 && len(v.codes) != 1 {
		return token.ErrNotFound
	}
	return v.cut.step()
}

// knows reports whether the vault has a code that the key has.
func (v *vault) knows(k *vkey.Key) bool {
	return slices.ContainsFunc(v.codes, func(c token.Escrow) bool { return k.HoldsLockCode([16]byte(c.Secret.Reveal())) })
}

// bench is a key whose settings are changed, over HID or as a card.
type bench struct {
	t    *testing.T
	key  *vkey.Key
	card bool
	v    vault
	conn *vkey.Conn
}

// open opens the key anew.
func (b *bench) open() *ykslot.Session {
	b.t.Helper()
	var s *ykslot.Session
	var err error
	if b.card {
		card := b.key.Card()
		s, err = ykslot.OpenManagement(b.t.Context(), apdu.TransmitFunc(func(_ context.Context, c []byte) ([]byte, error) { return card.Transmit(c) }))
	} else {
		if b.conn != nil {
			_ = b.conn.Close()
		}
		if b.conn, err = b.key.Open(); err == nil {
			s, err = ykslot.Open(b.t.Context(), b.conn, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
		}
	}
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// cutSettings fails before and after each command.
type cutSettings struct {
	provision.SettingsDevice
	cut *countdown
}

func (c cutSettings) WriteDeviceConfig(ctx context.Context, d ykslot.DeviceConfig) error {
	if err := c.cut.step(); err != nil {
		return err
	}
	err := c.SettingsDevice.WriteDeviceConfig(ctx, d)
	if cut := c.cut.step(); cut != nil {
		return fmt.Errorf("%w: %w", ykslot.ErrUnsettled, cut)
	}
	return err
}

func (c cutSettings) DeviceInfo(ctx context.Context) (ykslot.DeviceInfo, error) {
	if err := c.cut.step(); err != nil {
		return ykslot.DeviceInfo{}, err
	}
	return c.SettingsDevice.DeviceInfo(ctx)
}

// run plans and changes settings; everything fails from the n-th step on.
func (b *bench) run(n int, want provision.SettingsSpec) (ykslot.DeviceInfo, error) {
	b.t.Helper()
	s := b.open()
	info, err := s.DeviceInfo(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	m, _ := usbhid.ModelOf(b.key.USB().PID)
	p, err := provision.PlanSettings(want, provision.SettingsHave{Serial: token.Serial(info.Serial), Version: s.Status().Version, Model: m, Info: info, Codes: slices.Clone(b.v.codes)})
	if err != nil {
		b.t.Fatal(err)
	}
	if !p.Changes {
		return info, nil
	}
	cut := &countdown{n}
	b.v.cut = cut
	r := provision.SettingsRunner{Codes: &b.v, Rand: rand.Reader, Again: func(context.Context) (provision.SettingsDevice, error) {
		return cutSettings{b.open(), cut}, cut.step()
	}}
	return r.Run(b.t.Context(), cutSettings{s, cut}, p)
}

const whole = 1 << 20 // more steps than there are

func eachWay(t *testing.T, run func(t *testing.T, open func(*testing.T) *bench)) {
	for name, card := range map[string]bool{"HID": false, "CCID": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, func(t *testing.T) *bench {
				return &bench{t: t, key: vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7654321}), card: card}
			})
		})
	}
}

// TestSettings takes a key through applications and lock codes.
func TestSettings(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, open func(*testing.T) *bench) {
		b := open(t)
		fido := ykslot.CapU2F | ykslot.CapFIDO2
		for _, step := range []struct {
			want   provision.SettingsSpec
			locked bool
			codes  int
			pid    uint16
		}{
			{provision.SettingsSpec{Disable: fido, USB: true, Lock: provision.KeepLock}, false, 0, 0x0405},
			{provision.SettingsSpec{Lock: provision.SetLock}, true, 1, 0x0405},
			{provision.SettingsSpec{Enable: fido, USB: true, Lock: provision.KeepLock}, true, 1, 0x0407},
			{provision.SettingsSpec{Disable: fido, USB: true, NFC: true, Lock: provision.SetLock}, true, 1, 0x0405},
			{provision.SettingsSpec{Enable: fido, USB: true, NFC: true, Lock: provision.RemoveLock}, false, 0, 0x0407},
		} {
			info, err := b.run(whole, step.want)
			if err != nil {
				t.Fatal(err)
			}
			if info.Locked != step.locked || len(b.v.codes) != step.codes || step.locked != b.v.knows(b.key) || b.key.USB().PID != step.pid {
				t.Errorf("%+v: locked %v, %d codes, PID %04x", step.want, info.Locked, len(b.v.codes), b.key.USB().PID)
			}
		}
	})
}

// TestSettingsCut: everything fails from each step on. The store has the code that the key has, and doing it again ends as if nothing had happened,
// with one code.
func TestSettingsCut(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, open func(*testing.T) *bench) {
		for _, first := range []provision.LockMode{provision.KeepLock, provision.SetLock} { // a key without and with a lock code
			for _, second := range []provision.LockMode{provision.KeepLock, provision.SetLock, provision.RemoveLock} {
				cutSettingsAnywhere(t, open, first, provision.SettingsSpec{Disable: ykslot.CapPIV | ykslot.CapFIDO2 | ykslot.CapU2F, USB: true, Lock: second})
			}
		}
	})
}

func cutSettingsAnywhere(t *testing.T, open func(*testing.T) *bench, first provision.LockMode, want provision.SettingsSpec) {
	for n := 0; ; n++ {
		b := open(t)
		if _, err := b.run(whole, provision.SettingsSpec{Lock: first}); err != nil {
			t.Fatal(err)
		}
		_, err := b.run(n, want)
		done := !errors.Is(err, errCut)
		if err != nil && done {
			t.Fatalf("%s, %s cut after %d: %v", first, want.Lock, n, err)
		}
		info, readErr := b.open().DeviceInfo(t.Context())
		if readErr != nil || info.Locked && !b.v.knows(b.key) {
			t.Fatalf("%s, %s cut after %d: locked, and the code is lost (%v)", first, want.Lock, n, readErr)
		}
		info, err = b.run(whole, want)
		locked := want.Lock == provision.SetLock || want.Lock == provision.KeepLock && first == provision.SetLock
		if err != nil || info.Locked != locked || locked && (!b.v.knows(b.key) || len(b.v.codes) != 1) || info.USBEnabled&want.Disable != 0 {
			t.Fatalf("%s, %s again after %d: %v, locked %v, %d codes", first, want.Lock, n, err, info.Locked, len(b.v.codes))
		}
		if done {
			return
		}
	}
}

// TestSettingsLockedByOthers: with a code that is not the key's nothing is changed.
func TestSettingsLockedByOthers(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, open func(*testing.T) *bench) {
		b := open(t)
		if _, err := b.run(whole, provision.SettingsSpec{Lock: provision.SetLock}); err != nil {
			t.Fatal(err)
		}
		other, _ := secret.Random(rand.Reader, ykslot.LockCodeLen)
		b.v.codes = []token.Escrow{{ID: 9, Secret: other}}
		before, _ := b.open().DeviceInfo(t.Context())
		var refused *provision.RefusedError
		if _, err := b.run(whole, provision.SettingsSpec{Disable: ykslot.CapPIV, USB: true, Lock: provision.KeepLock}); !errors.As(err, &refused) || !errors.Is(err, provision.ErrLockUnknown) {
			t.Errorf("%v, want ErrLockUnknown", err)
		}
		if after, err := b.open().DeviceInfo(t.Context()); err != nil || !reflect.DeepEqual(before, after) || len(b.v.codes) != 1 {
			t.Errorf("changed: %+v, %v", after, err)
		}
	})
}

func TestSettingsByMode(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKeyNEO, vkey.Options{Serial: 7654321})
	conn, err := k.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s, err := ykslot.Open(t.Context(), conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	have := provision.SettingsHave{Serial: 7654321, Version: s.Status().Version}
	have.Model, _ = usbhid.ModelOf(k.USB().PID)
	p, err := provision.PlanSettings(provision.SettingsSpec{Disable: ykslot.CapCCID, USB: true, Lock: provision.KeepLock}, have)
	if err != nil {
		t.Fatal(err)
	}
	r := provision.SettingsRunner{}
	if _, err := r.Run(t.Context(), s, p); err != nil {
		t.Fatal(err)
	}
	k.Unplug()
	k.Plug()
	if pid := k.USB().PID; pid != p.ModelAfter.ProductID || pid != 0x0114 {
		t.Errorf("PID %04x, want %04x", pid, p.ModelAfter.ProductID)
	}
}

// TestSettingsOtherKey: what another key says proves nothing, and settles no lock code.
func TestSettingsOtherKey(t *testing.T) {
	t.Parallel()
	b := &bench{t: t, key: vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7654321})}
	other := &bench{t: t, key: vkey.New(vkey.YubiKey571, vkey.Options{Serial: 7}), card: true}
	off := ykslot.CapU2F | ykslot.CapFIDO2
	for _, x := range []*bench{b, other} { // both without FIDO and locked, or about to be
		x.v.cut = &countdown{whole}
	}
	if _, err := other.run(whole, provision.SettingsSpec{Disable: off, USB: true, Lock: provision.SetLock}); err != nil {
		t.Fatal(err)
	}
	s := b.open()
	info, err := s.DeviceInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	have := provision.SettingsHave{Serial: 7654321, Version: s.Status().Version, Info: info}
	have.Model, _ = usbhid.ModelOf(b.key.USB().PID)
	p, err := provision.PlanSettings(provision.SettingsSpec{Disable: off, USB: true, Lock: provision.SetLock}, have)
	if err != nil {
		t.Fatal(err)
	}
	lost := cutSettings{s, &countdown{1}} // the write is done, and not seen
	r := provision.SettingsRunner{Codes: &b.v, Rand: rand.Reader, Again: func(context.Context) (provision.SettingsDevice, error) { return other.open(), nil }}
	if _, err := r.Run(t.Context(), lost, p); !errors.Is(err, provision.ErrOtherSettings) || !errors.Is(err, ykslot.ErrUnsettled) {
		t.Errorf("%v, want ErrOtherSettings and ErrUnsettled", err)
	}
	if len(b.v.codes) != 1 || b.v.codes[0].Held || !b.v.knows(b.key) {
		t.Errorf("codes: %+v", b.v.codes)
	}
}
