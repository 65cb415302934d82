package ykslot

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// builder is what all builders have.
type builder interface{ Config() (Config, error) }

func layoutNamed(t testing.TB, name string) keyboard.Layout {
	t.Helper()
	l, ok := keyboard.Lookup(name)
	if !ok {
		t.Fatalf("no layout %s", name)
	}
	return l
}

// hexSecret is a secret from hexadecimal.
func hexSecret(t testing.TB, s string) secret.Bytes { return secret.New(unhex(t, s)) }

const seedF = key30 + "40414243"

// TestBuildersGiveTheVectors: what the builders make are the frames of reference yubikey-otp.md §3.10.
func TestBuildersGiveTheVectors(t *testing.T) {
	t.Parallel()
	idF9 := TokenID{unhex(t, "010203040506"), 2}
	code := hexSecret(t, "010203040506")
	made := map[string]builder{
		"F4":  EncryptedPassword{Key: hexSecret(t, keyA), Flags: Flags{0, 0x20, 0}},
		"F5":  EncryptedPassword{Key: hexSecret(t, keyA), AccessCode: code, Flags: Flags{0, 0x20, 0}},
		"F6":  ChallengeHMAC{Key: hexSecret(t, seedF), Flags: Flags{0x04, 0, 0}},
		"F7":  ChallengeHMAC{Key: hexSecret(t, seedF), FixedLength: true},
		"F8":  HOTP{Seed: hexSecret(t, seedF)},
		"F9":  HOTP{Seed: hexSecret(t, seedF), TokenID: idF9, Digits: 8},
		"F10": HOTP{Seed: hexSecret(t, seedF), TokenID: idF9, Digits: 8, MovingFactor: 0x1210},
		"F11": YubicoOTP{PublicID: unhex(t, "ff0000bc614e"), PrivateID: code, Key: hexSecret(t, key0f), Flags: TypingFlags(Version{5, 4, 3})},
		"F12": ScanCodes{Text: secret.New([]byte("Hello World!")), Layout: layoutNamed(t, "us"), Flags: TypingFlags(Version{5, 4, 3})},
	}
	for _, v := range frameVectors {
		b, ok := made[v.name]
		if !ok {
			continue // a command, or bytes for the encoder alone
		}
		delete(made, v.name)
		c, err := b.Config()
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		raw, err := c.AppendMarshal(nil)
		if err != nil {
			t.Errorf("%s: %v", v.name, err)
			continue
		}
		var payload [PayloadLen]byte
		copy(payload[:], append(raw, unhex(t, v.current)...))
		want := v.want
		if v.name == "F10" { // the vector has the bytes of IMF 0x1210 as 01 21
			if got := c.MovingFactor(); got != 0x1210 {
				t.Errorf("F10: moving factor %x", got)
			}
		}
		if got := joinReports(Reports(v.cmd, &payload)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", v.name, got, want)
		}
	}
	for name := range made {
		t.Errorf("there is no vector %s", name)
	}
}

// TestModesAtAGlance: each row of reference yubikey-otp.md §3.3: the flags, and what stands where.
func TestModesAtAGlance(t *testing.T) {
	t.Parallel()
	v5, v2 := Version{5, 4, 3}, Version{2, 4, 3}
	id, uid, key, seed := unhex(t, "ff0000bc614e"), hexSecret(t, "a1a2a3a4a5a6"), hexSecret(t, key30), hexSecret(t, seedF)
	ubhe, err := ParseTokenID("-", 7654321)
	if err != nil {
		t.Fatal(err)
	}
	typing := TypingFlags(v5)
	with := func(f Flags, ext ExtFlag, tkt TicketFlag, cfg ConfigFlag) Flags {
		return Flags{f.Ext | ext, f.Ticket | tkt, f.Config | cfg}
	}
	enter := Flags{0, AppendCR, 0}
	for _, tc := range []struct {
		name  string
		on    Version
		make  builder
		flags Flags
		mode  Mode
		fixed string
		uid   string
		key   string
	}{
		{"yubikit Yubico OTP", v5, YubicoOTP{PublicID: id, PrivateID: uid, Key: key, Flags: typing}, Flags{0x34, 0x20, 0}, ModeYubicoOTP, "ff0000bc614e", "a1a2a3a4a5a6", key30},
		{"yubikit static", v5, ScanCodes{Text: secret.New([]byte(strings.Repeat("b", 38))), Layout: layoutNamed(t, "us"), Flags: typing}, Flags{0x34, 0x20, 0x02}, ModeScanCodes, strings.Repeat("05", 16), strings.Repeat("05", 6), strings.Repeat("05", 16)},
		{"yubikit HOTP class, 6 digits", v5, HOTP{Seed: seed, Flags: with(typing, 0, 0, FixedModHex2)}, Flags{0x34, 0x60, 0x40}, ModeHOTP, "", "404142430000", key30},
		{"yubikit HOTP class, 8 digits", v5, HOTP{Seed: seed, Digits: 8, Flags: with(typing, 0, 0, FixedModHex2)}, Flags{0x34, 0x60, 0x42}, ModeHOTP, "", "404142430000", key30},
		{"ykman otp hotp, 6 digits", v5, HOTP{Seed: seed, Digits: 6, Flags: typing}, Flags{0x34, 0x60, 0}, ModeHOTP, "", "404142430000", key30},
		{"ykman otp hotp, 8 digits", v5, HOTP{Seed: seed, Digits: 8, Flags: typing}, Flags{0x34, 0x60, 0x02}, ModeHOTP, "", "404142430000", key30},
		{"ykman otp hotp -i -, 6 digits", v5, HOTP{Seed: seed, TokenID: ubhe, Flags: typing}, Flags{0x34, 0x60, 0x40}, ModeHOTP, "e16307654321", "404142430000", key30},
		{"ykman otp hotp -i -, 8 digits", v5, HOTP{Seed: seed, TokenID: ubhe, Digits: 8, Flags: typing}, Flags{0x34, 0x60, 0x42}, ModeHOTP, "e16307654321", "404142430000", key30},
		{"yubikit HMAC", v5, ChallengeHMAC{Key: seed, Flags: ChallengeFlags(v5)}, Flags{0x24, 0x40, 0x26}, ModeChallengeHMAC, "", "404142430000", key30},
		{"yubikit HMAC, touch", v5, ChallengeHMAC{Key: seed, Touch: true, Flags: ChallengeFlags(v5)}, Flags{0x24, 0x40, 0x2e}, ModeChallengeHMAC, "", "404142430000", key30},
		{"HMAC, fixed length", v2, ChallengeHMAC{Key: seed, FixedLength: true}, Flags{0, 0x40, 0x22}, ModeChallengeHMAC, "", "404142430000", key30},
		{"Yubico challenge", v5, ChallengeYubico{Key: key, Flags: ChallengeFlags(v5)}, Flags{0x24, 0x40, 0x20}, ModeChallengeYubico, "", "000000000000", key30},
		{"Yubico challenge, touch and ID", v2, ChallengeYubico{PrivateID: uid, Key: key, Touch: true}, Flags{0, 0x40, 0x28}, ModeChallengeYubico, "", "a1a2a3a4a5a6", key30},
		{"ykpersonalize -1", v2, YubicoOTP{PublicID: id, PrivateID: uid, Key: key, Flags: enter}, Flags{0, 0x20, 0}, ModeYubicoOTP, "ff0000bc614e", "a1a2a3a4a5a6", key30},
		{"ykpersonalize -2", v2, EncryptedPassword{Key: key, Upper: true, Numbers: true, Flags: with(enter, 0, 0, ManUpdate)}, Flags{0, 0x20, 0xf0}, ModeStatic, "", "000000000000", key30},
		{"static, short and strong", v2, EncryptedPassword{PublicID: id, PrivateID: uid, Key: key, Short: true, Upper: true, Numbers: true, Flags: enter}, Flags{0, 0x20, 0x72}, ModeStatic, "ff0000bc614e", "a1a2a3a4a5a6", key30},
		{".NET static", v2, EncryptedPassword{Key: key, Flags: Flags{AllowUpdate, AppendCR, ManUpdate}}, Flags{0x20, 0x20, 0xa0}, ModeStatic, "", "000000000000", key30},
	} {
		c, err := tc.make.Config()
		if err == nil {
			err = c.Supported(tc.on)
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if c.Flags != tc.flags || c.Mode() != tc.mode {
			t.Errorf("%s: %v, want %v", tc.name, c.Flags, tc.flags)
		}
		if !bytes.Equal(c.Fixed, unhex(t, tc.fixed)) || !bytes.Equal(c.UID.Reveal(), unhex(t, tc.uid)) || !bytes.Equal(c.Key.Reveal(), unhex(t, tc.key)) {
			t.Errorf("%s: fixed %x, uid %x, key %x", tc.name, c.Fixed, c.UID.Reveal(), c.Key.Reveal())
		}
		raw, err := c.AppendMarshal(nil)
		if err != nil || len(raw) != ConfigLen {
			t.Errorf("%s: %d bytes, %v", tc.name, len(raw), err)
		}
	}
}

func TestSeeds(t *testing.T) {
	t.Parallel()
	fill := func(n int) secret.Bytes { return secret.New(bytes.Repeat([]byte{7}, n)) }
	for n, ok := range map[int]bool{0: false, 1: true, 16: true, 19: true, 20: true, 21: false, 32: false, 63: false, 64: false, 65: true, 128: true} {
		for _, b := range []builder{HOTP{Seed: fill(n)}, ChallengeHMAC{Key: fill(n)}} {
			c, err := b.Config()
			var invalid *InvalidError
			if (err == nil) != ok || err != nil && !errors.As(err, &invalid) {
				t.Errorf("%T of %d bytes: %v", b, n, err)
			}
			if err == nil && c.seed().Len() != SeedLen {
				t.Errorf("%T of %d bytes: %d in the slot", b, n, c.seed().Len())
			}
		}
	}
	// longer than a block: HMAC's own rule; SHA-1 of 65 bytes 07
	c, err := ChallengeHMAC{Key: fill(65)}.Config()
	if err != nil || hmacOf(c.seed().Reveal(), []byte("x")) != hmacOf(fill(65).Reveal(), []byte("x")) {
		t.Errorf("a key of 65 bytes makes other answers: %v", err)
	}
	c, err = ChallengeHMAC{Key: hexSecret(t, "abba")}.Config()
	if err != nil || fmt.Sprintf("%x", c.seed().Reveal()) != "abba"+strings.Repeat("00", 18) {
		t.Errorf("a short key: %x, %v", c.seed().Reveal(), err)
	}
}

// TestBuildersRefuse: what would not do what it says is refused before anything is sent, in words.
func TestBuildersRefuse(t *testing.T) {
	t.Parallel()
	key, seed := hexSecret(t, key30), hexSecret(t, seedF)
	us := layoutNamed(t, "us")
	text := func(n int) secret.Bytes { return secret.New(bytes.Repeat([]byte{'a'}, n)) }
	for _, tc := range []struct {
		name string
		make builder
		text string
	}{
		{"7 digits", HOTP{Seed: seed, Digits: 7}, "6 or 8"},
		{"moving factor of 17", HOTP{Seed: seed, MovingFactor: 17}, "multiple of 16"},
		{"negative moving factor", HOTP{Seed: seed, MovingFactor: -16}, "multiple of 16"},
		{"moving factor too large", HOTP{Seed: seed, MovingFactor: 0x100000}, "at most 1048560"},
		{"zero seed", HOTP{Seed: secret.New(make([]byte, 20))}, "all zero"},
		{"HOTP with challenge flags", HOTP{Seed: seed, Flags: Flags{0, 0, ChalYubico}}, "Yubico challenge-response, not of OATH-HOTP"},
		{"HOTP with reference", HOTP{Seed: seed, Flags: Flags{0, 0, SendRef}}, "SEND_REF does not go with OATH-HOTP"},
		{"17 bytes of token ID", HOTP{Seed: seed, TokenID: TokenID{make([]byte, 17), 17}}, "at most 16"},
		{"3 bytes in ModHex", HOTP{Seed: seed, TokenID: TokenID{make([]byte, 6), 3}}, "first two or all"},
		{"letters in the number", HOTP{Seed: seed, TokenID: TokenID{[]byte{0xe1, 0x63, 0x1a}, 2}}, "byte 3"},
		{"HMAC with Enter", ChallengeHMAC{Key: seed, Flags: Flags{0, AppendCR, 0}}, "APPEND_CR does not go with"},
		{"HMAC with pacing by its other name", ChallengeYubico{Key: key, Flags: Flags{0, 0, Pacing10ms}}, "PACING_10MS or HMAC_LT64"},
		{"Yubico challenge with HMAC flag", ChallengeYubico{Key: key, Flags: Flags{0, 0, ChalHMAC}}, "not of Yubico challenge-response"},
		{"Yubico challenge, zero key", ChallengeYubico{Key: secret.New(make([]byte, 16))}, "all zero"},
		{"Yubico challenge, long key", ChallengeYubico{Key: seed}, "key of 16 bytes"},
		{"no password", ScanCodes{Layout: us}, "0 characters"},
		{"39 characters", ScanCodes{Text: text(39), Layout: us}, "39 characters; 1 to 38 fit"},
		{"password for a ticket", ScanCodes{Text: text(3), Layout: us, Flags: Flags{0, 0, StaticTicket}}, "flags of static password"},
		{"password without layout", ScanCodes{Text: text(3)}, "on no key of the layout"},
		{"ticket with a zero key", EncryptedPassword{Key: secret.New(make([]byte, 16))}, "all zero"},
		{"ticket with 17 bytes of ID", EncryptedPassword{Key: key, PublicID: make([]byte, 17)}, "at most 16"},
		{"ticket with HOTP flag", EncryptedPassword{Key: key, Flags: Flags{0, OathHOTP, 0}}, "not of static password"},
	} {
		c, err := tc.make.Config()
		if err == nil || !strings.Contains(err.Error(), tc.text) || c.Key.Len() != 0 || c.Fixed != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	for name, c := range map[string]Config{
		"HOTP counter": mustConfig(t, HOTP{Seed: seed, MovingFactor: 16}), "HOTP": mustConfig(t, HOTP{Seed: seed}),
		"challenge": mustConfig(t, ChallengeHMAC{Key: seed}), "man update": mustConfig(t, EncryptedPassword{Key: key, Flags: Flags{0, 0, ManUpdate}}),
	} {
		on := map[string]Version{"HOTP counter": {2, 1, 0}, "HOTP": {2, 0, 0}, "challenge": {2, 1, 9}, "man update": {5, 0, 0}}[name]
		var unsupported *UnsupportedError
		if err := c.Supported(on); !errors.As(err, &unsupported) {
			t.Errorf("%s on %v: %v", name, on, err)
		}
	}
}

func mustConfig(t testing.TB, b builder) Config {
	t.Helper()
	c, err := b.Config()
	if err != nil {
		t.Fatalf("%T: %v", b, err)
	}
	return c
}

// TestConfigDoesNotPrint: not even the fixed part, which belongs to a scan-code password.
func TestConfigDoesNotPrint(t *testing.T) {
	t.Parallel()
	c := mustConfig(t, ScanCodes{Text: secret.New([]byte("bbbbbbbbbbbb")), Layout: layoutNamed(t, "us")})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d", "%q"} {
		for _, out := range []string{fmt.Sprintf(verb, c), fmt.Sprintf(verb, &c), fmt.Sprintf(verb, []Config{c})} {
			if strings.Contains(out, "05") || strings.Contains(out, "5 5") || strings.Contains(out, "0x5,") {
				t.Errorf("%s prints %s", verb, out)
			}
		}
	}
	fixed := c.Fixed
	c.Destroy()
	if !bytes.Equal(fixed, make([]byte, FixedLen)) || !c.Key.IsZero() {
		t.Error("the password is still there")
	}
}
