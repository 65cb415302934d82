package ykslot

import (
	"bytes"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

// law holds for what any builder gives: a configuration that is valid, of 52 bytes, and comes back from them. It returns what came
// back.
func law(t *testing.T, b builder, m Mode) (Config, bool) {
	t.Helper()
	c, err := b.Config()
	if err != nil {
		var invalid *InvalidError
		var char *keyboard.CharError
		if !errors.As(err, &invalid) && !errors.As(err, &char) {
			t.Fatalf("%T", err)
		}
		if c.Fixed != nil || c.Key.Len() != 0 || c.UID.Len() != 0 {
			t.Fatal("result beside an error")
		}
		return Config{}, false
	}
	if err := c.Validate(); err != nil || c.Mode() != m {
		t.Fatalf("%v: %v", c.Mode(), err)
	}
	raw, err := c.AppendMarshal(nil)
	if err != nil {
		var invalid *InvalidError
		if c.AccessCode.Len() == AccessCodeLen || c.AccessCode.Len() == 0 || !errors.As(err, &invalid) {
			t.Fatal(err)
		}
		return Config{}, false
	}
	back, err := UnmarshalConfig(raw)
	if err != nil || len(raw) != ConfigLen {
		t.Fatalf("%d bytes, %v", len(raw), err)
	}
	if !bytes.Equal(back.Fixed, c.Fixed) || !back.Key.Equal(c.Key) || !back.UID.Equal(c.UID) || back.Flags != c.Flags || !sameCode(back.AccessCode, c.AccessCode) {
		t.Fatalf("%v comes back as %v", c, back)
	}
	return back, true
}

func flagsOf(n uint32) Flags { return Flags{ExtFlag(n >> 16), TicketFlag(n >> 8), ConfigFlag(n)} }

func FuzzHOTP(f *testing.F) {
	f.Add([]byte("12345678901234567890"), 6, int64(0), []byte{}, 0, uint32(0x342000), []byte{})
	f.Add([]byte{1}, 8, int64(0xffff0), []byte{0xe1, 0x63, 0x12}, 2, uint32(0), []byte("secret"))
	f.Add(bytes.Repeat([]byte{9}, 65), 8, int64(16), []byte{0xff}, 1, uint32(0x40), []byte{1})
	f.Fuzz(func(t *testing.T, seed []byte, digits int, moving int64, id []byte, modhex int, flags uint32, code []byte) {
		h := HOTP{TokenID{id, modhex}, secret.Copy(seed), digits, moving, secret.Copy(code), flagsOf(flags)}
		c, ok := law(t, h, ModeHOTP)
		if !ok {
			return
		}
		text, ok := c.Press(moving)
		if c.MovingFactor() != moving || !ok || text.Len() < 2*len(id)+c.Digits() {
			t.Fatalf("moving factor %d, %d characters", c.MovingFactor(), text.Len())
		}
		if at, ok := c.MatchPress(string(text.Reveal()), moving, 0); !ok || at != moving {
			t.Fatal("does not match its own press")
		}
	})
}

func FuzzChallengeConfig(f *testing.F) {
	f.Add([]byte("12345678901234567890"), []byte{}, false, true, uint32(0x240000), []byte{})
	f.Add([]byte("1234567890123456"), []byte("privid"), true, false, uint32(0), []byte("secret"))
	f.Fuzz(func(t *testing.T, key, id []byte, fixed, touch bool, flags uint32, code []byte) {
		h := ChallengeHMAC{secret.Copy(key), fixed, touch, secret.Copy(code), flagsOf(flags)}
		if c, ok := law(t, h, ModeChallengeHMAC); ok && len(key) <= SeedLen && !bytes.HasPrefix(c.seed().Reveal(), key) {
			t.Fatal("another key")
		}
		y := ChallengeYubico{secret.Copy(id), secret.Copy(key), touch, secret.Copy(code), flagsOf(flags)}
		if c, ok := law(t, y, ModeChallengeYubico); ok && !bytes.Equal(c.Key.Reveal(), key) {
			t.Fatal("another key")
		}
	})
}

func FuzzPasswords(f *testing.F) {
	for _, name := range []string{"us", "de", "fr", "modhex", ""} {
		f.Add(name, "Hello World!", []byte{1}, []byte("privid"), []byte("1234567890123456"), byte(7), uint32(0x342000), []byte{})
	}
	f.Add("us", "012345678901234567890123456789012345678", []byte{}, []byte{}, []byte{}, byte(0), uint32(0xffffff), []byte("secret"))
	f.Fuzz(func(t *testing.T, layout, text string, fixed, id, key []byte, which byte, flags uint32, code []byte) {
		l, _ := keyboard.Lookup(layout)
		if c, ok := law(t, ScanCodes{secret.Copy([]byte(text)), l, secret.Copy(code), flagsOf(flags)}, ModeScanCodes); ok {
			strokes := c.strokes()
			if back := l.Decode(secret.New(strokes.Reveal()[:utf8.RuneCountInString(text)])); string(back.Reveal()) != text {
				t.Fatal("another password")
			}
			if typed, ok := c.Press(0); !ok || typed.Len() < utf8.RuneCountInString(text) {
				t.Fatalf("%d characters", typed.Len())
			}
		}
		e := EncryptedPassword{fixed, secret.Copy(id), secret.Copy(key), which&1 != 0, which&2 != 0, which&4 != 0, secret.Copy(code), flagsOf(flags)}
		if c, ok := law(t, e, ModeStatic); ok {
			if typed, ok := c.Press(0); !ok || typed.Len() < 2*len(fixed)+16 {
				t.Fatalf("%d characters", typed.Len())
			}
		}
	})
}
