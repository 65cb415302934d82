package ykslot_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// TestTOTPCode: 6 to 8 digits of an answer of 20 bytes, which here is that of RFC 4226 for the counter 0; nothing of another one.
func TestTOTPCode(t *testing.T) {
	t.Parallel()
	answer := fromHex(t, "cc93cf18508d94934c64b65d8ba7667fb7cde4b0")
	for digits, want := range map[int]string{5: "", 6: "755224", 7: "4755224", 8: "84755224", 9: "", 0: ""} {
		if got := ykslot.TOTPCode(secret.Copy(answer), digits); got != want {
			t.Errorf("%d digits: %q, want %q", digits, got, want)
		}
	}
	for _, n := range []int{0, 16, 19} {
		if got := ykslot.TOTPCode(secret.Copy(answer[:n]), 6); got != "" {
			t.Errorf("of %d bytes: %q", n, got)
		}
	}
	if got := ykslot.TOTPCode(secret.New(append(answer, 0)), 6); got != "" {
		t.Errorf("of 21 bytes: %q", got)
	}
}

// TestNoSuchSlot: a third slot is not asked instead of the first.
func TestNoSuchSlot(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	r.program(t, ykslot.Slot1, ykslot.ChallengeHMAC{Key: bytesOf(20, 1), Flags: ykslot.ChallengeFlags(r.Status().Version)})
	r.key.ResetTransfers()
	for name, call := range map[string]func() error{
		"challenge":        func() error { _, err := r.ChallengeHMAC(t.Context(), 3, []byte("x"), 0, nil); return err },
		"Yubico challenge": func() error { _, err := r.ChallengeYubico(t.Context(), 0, [6]byte{}, nil); return err },
		"write": func() error {
			return r.Write(t.Context(), 3, otpConfig(t, r.Status().Version, 1, none), none)
		},
		"delete": func() error { return r.Delete(t.Context(), 0, none) },
	} {
		var invalid *ykslot.InvalidError
		if err := call(); !errors.As(err, &invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, sets := r.key.Transfers(); sets != 0 {
		t.Errorf("%d reports", sets)
	}
}

// TestLastMovingFactor: 1048560 is the last that a slot can start from, and the key does.
func TestLastMovingFactor(t *testing.T) {
	t.Parallel()
	r := openRig(t, vkey.YubiKey543, vkey.Options{})
	c := r.program(t, ykslot.Slot1, ykslot.HOTP{Seed: bytesOf(20, 1), MovingFactor: ykslot.MaxMovingFactor, Flags: ykslot.TypingFlags(r.Status().Version)})
	if at := r.key.Slot(1).MovingFactor; at != 1048560 || c.MovingFactor() != 1048560 {
		t.Errorf("the key starts at %d, the configuration at %d", at, c.MovingFactor())
	}
}

// TestConfigDamaged: 52 bytes that are no configuration are not taken for one, with the right CRC neither. A public ID has 16 bytes at most.
func TestConfigDamaged(t *testing.T) {
	t.Parallel()
	otp := ykslot.YubicoOTP{PublicID: make([]byte, 16), PrivateID: bytesOf(6, 1), Key: bytesOf(16, 1)}
	if _, err := otp.Config(); err != nil {
		t.Errorf("16 bytes: %v", err)
	}
	otp.PublicID = make([]byte, 17)
	if _, err := otp.Config(); err == nil {
		t.Error("17 bytes")
	}
	otp.PublicID = make([]byte, 6)
	c, err := otp.Config()
	if err != nil {
		t.Fatal(err)
	}
	good, err := c.AppendMarshal(nil)
	if err != nil {
		t.Fatal(err)
	}
	sealed := func(at int, b byte) []byte {
		raw := append([]byte(nil), good...)
		raw[at] = b
		binary.LittleEndian.PutUint16(raw[50:], ^yubiotp.CRC16(raw[:50]))
		return raw
	}
	if _, err := ykslot.UnmarshalConfig(sealed(46, 0x20)); err != nil {
		t.Fatal(err)
	}
	wrong := append([]byte(nil), good...)
	wrong[51] ^= 1
	for name, raw := range map[string][]byte{
		"cut off": good[:51], "too long": append(append([]byte(nil), good...), 0), "CRC": wrong, "fixed part of 17": sealed(44, 17),
		"data behind the fixed part": sealed(6, 1), "reserved": sealed(48, 1), "reserved, second": sealed(49, 1),
	} {
		if _, err := ykslot.UnmarshalConfig(raw); !errors.Is(err, ykslot.ErrProtocol) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestTokenIDCheck: only digits are typed as digits, and no more ModHex than there is.
func TestTokenIDCheck(t *testing.T) {
	t.Parallel()
	for _, id := range []ykslot.TokenID{
		{Bytes: []byte{0xe1, 0x63, 0xa1}, ModHex: 2}, {Bytes: []byte{0xe1, 0x63, 0x1a}, ModHex: 2}, {Bytes: []byte{1}, ModHex: 2}, {Bytes: []byte{1}, ModHex: -1},
		{ModHex: 1}, {Bytes: make([]byte, 17)},
	} {
		var invalid *ykslot.InvalidError
		if err := id.Check(); !errors.As(err, &invalid) {
			t.Errorf("%+v: %v", id, err)
		}
	}
	if err := (ykslot.TokenID{Bytes: make([]byte, 16)}).Check(); err != nil {
		t.Error(err)
	}
}
