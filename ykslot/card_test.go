package ykslot_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// vcard is a virtual key's card.
type vcard struct {
	*vkey.Card
	sent [][]byte // instruction and P1 of each command
}

func (c *vcard) Transmit(_ context.Context, command []byte) ([]byte, error) {
	c.sent = append(c.sent, append([]byte(nil), command[1:3]...))
	return c.Card.Transmit(command)
}

func openCard(t *testing.T, c *vkey.Card) *ykslot.Session {
	t.Helper()
	s, err := ykslot.OpenCard(t.Context(), &vcard{Card: c})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCard writes, guards, swaps and empties slots on every firmware that lets a card do it, on USB and over NFC.
func TestCard(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey543, vkey.YubiKey571} {
		for name, card := range map[string]func(*vkey.Key) *vkey.Card{"USB": (*vkey.Key).Card, "NFC": (*vkey.Key).NFC} {
			t.Run(fmt.Sprintf("%v %s", p.Version, name), func(t *testing.T) {
				t.Parallel()
				k := vkey.New(p, vkey.Options{Serial: serial})
				s := openCard(t, card(k))
				if v := s.Status().Version; v.String() != p.Version.String() {
					t.Fatalf("firmware %v, want %v", v, p.Version)
				}
				writeByCard(t, s)
			})
		}
	}
}

func writeByCard(t *testing.T, s *ykslot.Session) {
	ctx, v, code := t.Context(), s.Status().Version, bytesOf(6, 7)
	if n, err := s.Serial(ctx); err != nil || n != serial {
		t.Fatalf("serial %d, %v", n, err)
	}
	if err := s.Write(ctx, ykslot.Slot1, otpConfig(t, v, 1, none), none); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, ykslot.Slot2, otpConfig(t, v, 2, code), none); err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); !st.Configured(ykslot.Slot1) || !st.Configured(ykslot.Slot2) || st.ProgSeq != 2 {
		t.Errorf("%+v", st)
	}
	var refused *ykslot.RejectedError
	if err := s.Write(ctx, ykslot.Slot2, otpConfig(t, v, 3, none), none); !errors.As(err, &refused) || refused.Before.ProgSeq != 2 {
		t.Errorf("written without its access code: %v", err)
	}
	if err := s.Swap(ctx); !errors.As(err, &refused) {
		t.Errorf("swapped although guarded: %v", err)
	}
	if err := s.Delete(ctx, ykslot.Slot2, code); err != nil {
		t.Error(err)
	}
	if err := s.Swap(ctx); err != nil {
		t.Error(err)
	}
	if st, err := s.ReadStatus(ctx); err != nil || st.Configured(ykslot.Slot1) || !st.Configured(ykslot.Slot2) {
		t.Errorf("after the swap: %+v, %v", st, err)
	}
	if err := s.Delete(ctx, ykslot.Slot2, none); err != nil {
		t.Errorf("the last slot: %v", err)
	}
}

// TestCardReadOnly: firmware 4.0 to 5.2 tells about itself on USB, and refuses to be changed before anything is sent.
func TestCardReadOnly(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKey435, vkey.YubiKey527} {
		k := vkey.New(p, vkey.Options{Serial: serial})
		c := &vcard{Card: k.Card()}
		s, err := ykslot.OpenCard(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		c.sent = nil
		var old *ykslot.UnsupportedError
		if err := s.Writable(); !errors.As(err, &old) {
			t.Errorf("%v: writable: %v", p.Version, err)
		}
		if err := s.Write(t.Context(), ykslot.Slot1, otpConfig(t, s.Status().Version, 1, none), none); !errors.As(err, &old) || len(c.sent) > 0 {
			t.Errorf("%v: %v after %x", p.Version, err, c.sent)
		}
		if d, err := s.DeviceInfo(t.Context()); err != nil || d.Serial != serial {
			t.Errorf("%v: %+v, %v", p.Version, d, err)
		}
	}
}

// TestCardSettingsOfOld: what the Management application takes, firmware 4.0 to 5.2 takes as a card too.
func TestCardSettingsOfOld(t *testing.T) {
	t.Parallel()
	fourth := vkey.New(vkey.YubiKey435, vkey.Options{Serial: serial})
	if err := openCard(t, fourth.Card()).SetMode(t.Context(), ykslot.USBMode{OTP: true, CCID: true}); err != nil {
		t.Error(err)
	}
	fourth.Unplug()
	fourth.Plug()
	if pid := fourth.USB().PID; pid != 0x0405 {
		t.Errorf("4.3.5: PID %04x, want 0405", pid)
	}
	fifth := vkey.New(vkey.YubiKey527, vkey.Options{Serial: serial})
	some := ykslot.CapOTP | ykslot.CapPIV
	if err := openCard(t, fifth.Card()).WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{USBEnabled: &some, Reboot: true}); err != nil {
		t.Error(err)
	}
	if d, err := openCard(t, fifth.Card()).DeviceInfo(t.Context()); err != nil || d.USBEnabled != some {
		t.Errorf("5.2.7: %+v, %v", d, err)
	}
}

// TestCardStale: from 5.3.0 to 5.4.2 the status does not show what a card wrote. The session remembers it, and says so where
// it cannot know.
func TestCardStale(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKey543.At(vkey.Version{Major: 5, Minor: 3}), vkey.YubiKey543.At(vkey.Version{Major: 5, Minor: 4, Build: 2})} {
		k := vkey.New(p, vkey.Options{Serial: serial})
		s := openCard(t, k.Card())
		cfg := otpConfig(t, s.Status().Version, 1, none)
		if err := s.Write(t.Context(), ykslot.Slot2, cfg, none); err != nil || !s.Status().Configured(ykslot.Slot2) {
			t.Errorf("%v: first write: %v, %+v", p.Version, err, s.Status())
		}
		if err := s.Write(t.Context(), ykslot.Slot2, cfg, none); !errors.Is(err, ykslot.ErrUnsettled) || !errors.Is(err, ykslot.ErrStale) {
			t.Errorf("%v: over a full slot: %v, want ErrUnsettled and ErrStale", p.Version, err)
		}
		if err := s.Delete(t.Context(), ykslot.Slot2, none); err != nil || s.Status().Configured(ykslot.Slot2) {
			t.Errorf("%v: delete: %v, %+v", p.Version, err, s.Status())
		}
	}
}

// TestCardEdges: the first and the last firmware that cannot be written on USB, and of those whose status is stale, and their neighbours.
func TestCardEdges(t *testing.T) {
	t.Parallel()
	at := func(major, minor, build byte) *vkey.Key {
		p := vkey.YubiKey543.At(vkey.Version{Major: major, Minor: minor, Build: build})
		return vkey.New(p, vkey.Options{Serial: serial})
	}
	for _, tc := range []struct {
		key      *vkey.Key
		writable bool
	}{{at(4, 0, 0), false}, {at(5, 2, 9), false}, {at(5, 3, 0), true}} {
		s := openCard(t, tc.key.Card())
		if err := s.Writable(); (err == nil) != tc.writable {
			t.Errorf("%v: %v", s.Status().Version, err)
		}
	}
	for _, tc := range []struct {
		key   *vkey.Key
		stale bool
	}{{at(5, 0, 0), true}, {at(5, 4, 2), true}, {at(5, 4, 3), false}} {
		s := openCard(t, tc.key.NFC())
		v := s.Status().Version
		var refused *ykslot.RejectedError
		if err := s.Delete(t.Context(), ykslot.Slot1, none); errors.Is(err, ykslot.ErrStale) != tc.stale || errors.As(err, &refused) == tc.stale {
			t.Errorf("%v: empty an empty key: %v", v, err)
		}
		if err := s.Write(t.Context(), ykslot.Slot1, otpConfig(t, v, 1, none), none); err != nil || !s.Status().Configured(ykslot.Slot1) {
			t.Errorf("%v: first write: %v", v, err)
		}
	}
}

// TestCardWithoutOTP: with OTP switched off the applet is absent; the settings can be read and switched on again.
func TestCardWithoutOTP(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543.Without(vkey.OTP), vkey.Options{Serial: serial})
	c := &vcard{Card: k.Card()}
	if _, err := ykslot.OpenCard(t.Context(), c); !errors.Is(err, ykslot.ErrNoApplet) || !errors.Is(err, apdu.NotFound) {
		t.Fatalf("%v, want ErrNoApplet", err)
	}
	s, err := ykslot.OpenManagement(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Serial(t.Context()); !errors.Is(err, ykslot.ErrNoApplet) {
		t.Errorf("serial: %v", err)
	}
	d, err := s.DeviceInfo(t.Context())
	if err != nil || d.Serial != serial || d.USBEnabled&ykslot.CapOTP != 0 {
		t.Fatalf("%+v, %v", d, err)
	}
	on := d.USBEnabled | ykslot.CapOTP
	if err := s.WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{USBEnabled: &on, Reboot: true}); err != nil {
		t.Fatal(err)
	}
	openCard(t, k.Card())
}

// TestCardSettings: a lock code that is missing or wrong is a refusal, not a success.
func TestCardSettings(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial})
	s := openCard(t, k.Card())
	lock := bytesOf(ykslot.LockCodeLen, 5)
	if err := s.WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{NewLockCode: lock}); err != nil {
		t.Fatal(err)
	}
	var refused *ykslot.RejectedError
	some := ykslot.CapOTP | ykslot.CapFIDO2
	if err := s.WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{USBEnabled: &some}); !errors.As(err, &refused) {
		t.Errorf("without the lock code: %v", err)
	}
	if err := s.WriteDeviceConfig(t.Context(), ykslot.DeviceConfig{USBEnabled: &some, Unlock: lock}); err != nil {
		t.Error(err)
	}
	if d, err := s.DeviceInfo(t.Context()); err != nil || !d.Locked {
		t.Errorf("%+v, %v", d, err)
	}
	if err := s.Write(t.Context(), ykslot.Slot1, otpConfig(t, s.Status().Version, 1, none), none); err != nil {
		t.Errorf("a slot after the settings: %v", err)
	}
}

func TestCardChallenge(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial})
	s := openCard(t, k.Card())
	if _, err := s.ChallengeHMAC(t.Context(), ykslot.Slot2, []byte("x"), ykslot.PadYubikit, nil); !errors.Is(err, ykslot.ErrNeedsHID) {
		t.Errorf("on USB: %v, want ErrNeedsHID", err)
	}
	if err := s.Answers(); !errors.Is(err, ykslot.ErrNeedsHID) || s.Writable() != nil || openCard(t, k.NFC()).Answers() != nil {
		t.Errorf("answers on USB: %v, writable: %v", err, s.Writable())
	}
	var refused *ykslot.RejectedError
	if _, err := openCard(t, k.NFC()).ChallengeHMAC(t.Context(), ykslot.Slot2, []byte("x"), ykslot.PadYubikit, nil); !errors.As(err, &refused) {
		t.Errorf("an empty slot: %v", err)
	}
}

// TestCardCut: the card goes away at every command of a write. Before the write nothing has changed; from it on the outcome
// is unknown, and never a success.
func TestCardCut(t *testing.T) {
	t.Parallel()
	gone := errors.New("pulled out")
	wrote := false
	for n := 1; ; n++ {
		k := vkey.New(vkey.YubiKeyNEO, vkey.Options{Serial: serial}) // answers a write with nothing
		c, left, cut := k.Card(), n, false
		carry := apdu.TransmitFunc(func(_ context.Context, b []byte) ([]byte, error) {
			if left--; left < 0 {
				cut = true
				return nil, gone
			}
			return c.Transmit(b)
		})
		s, err := ykslot.OpenCard(t.Context(), carry)
		if err == nil {
			err = s.Write(t.Context(), ykslot.Slot1, otpConfig(t, s.Status().Version, 1, none), none)
		}
		if !cut {
			if err != nil || !wrote {
				t.Errorf("uncut: %v; a cut after the write was seen: %v", err, wrote)
			}
			return
		}
		changed := openCard(t, k.Card()).Status().Configured(ykslot.Slot1)
		wrote = wrote || changed
		if !errors.Is(err, gone) || changed && !errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("cut after %d: %v with slot 1 in use: %v", n-1, err, changed)
		}
	}
}

// FuzzCard: a hostile card answers from b, each answer a length and that many bytes. Opening and using it ends, and what is
// believed is a status with a version.
func FuzzCard(f *testing.F) {
	ok := []byte{0x90, 0}
	say := func(data string) []byte { return append([]byte{byte(len(data) + 2)}, append([]byte(data), ok...)...) }
	status := say("\x05\x04\x03\x01\x05\x00")
	f.Add(append(append(say("FW 5.4.3"), status...), say("\x00\x74\xcb\xb1")...))
	f.Add(append(say("3.4.3"), status...))
	f.Add([]byte{2, 0x6A, 0x82})
	f.Add([]byte{3, 1, 0x61, 0})
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		at := 0
		carry := apdu.TransmitFunc(func(context.Context, []byte) ([]byte, error) {
			if len(b) == 0 {
				return nil, nil
			}
			out := make([]byte, int(b[at%len(b)]))
			for i := range out {
				out[i] = b[(at+1+i)%len(b)]
			}
			at += 1 + len(out)
			return out, nil
		})
		s, err := ykslot.OpenCard(t.Context(), carry)
		if err != nil {
			return
		}
		if s.Status().Version.Major == 0 {
			t.Fatal("a key without a version was opened")
		}
		if n, err := s.Serial(t.Context()); err != nil && n != 0 {
			t.Fatal("a serial beside an error")
		}
		_, _ = s.DeviceInfo(t.Context())
		_ = s.Delete(t.Context(), ykslot.Slot1, none)
	})
}
