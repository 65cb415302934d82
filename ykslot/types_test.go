package ykslot_test

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
)

type builder interface{ Config() (ykslot.Config, error) }

// drawn makes valid option sets of slots that type something predictable.
type drawn struct {
	*rand.Rand
	on ykslot.Version
}

func (d drawn) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(d.IntN(256))
	}
	return b
}

func (d drawn) secret(n int) secret.Bytes { return secret.New(append(d.bytes(n-1), 1)) }

// flags draws among those that any typing slot may have on this firmware.
func (d drawn) flags() ykslot.Flags {
	f := ykslot.Flags{Ticket: ykslot.TicketFlag(d.IntN(64)), Config: ykslot.ConfigFlag(d.IntN(4)) * ykslot.Pacing10ms}
	f.Ext = ykslot.SerialAPIVisible | ykslot.ExtFlag(d.IntN(256))&^ykslot.Dormant
	for bit := range 8 {
		if one := (ykslot.Flags{Ext: f.Ext & (1 << bit)}); (ykslot.Config{Flags: one}).Supported(d.on) != nil {
			f.Ext &^= one.Ext
		}
		if one := (ykslot.Flags{Ticket: f.Ticket & (1 << bit)}); (ykslot.Config{Flags: one}).Supported(d.on) != nil {
			f.Ticket &^= one.Ticket
		}
	}
	return f
}

func (d drawn) hotp() ykslot.HOTP {
	id := ykslot.TokenID{Bytes: d.bytes(d.IntN(17))}
	id.ModHex = []int{0, 1, 2, len(id.Bytes)}[d.IntN(4)]
	id.ModHex = min(id.ModHex, len(id.Bytes))
	for i := id.ModHex; i < len(id.Bytes); i++ {
		id.Bytes[i] = byte(d.IntN(10)<<4 | d.IntN(10))
	}
	return ykslot.HOTP{
		TokenID: id, Seed: d.secret(1 + d.IntN(20)), Digits: 6 + 2*d.IntN(2), MovingFactor: int64(d.IntN(0x10000)) * 16, Flags: d.flags(),
	}
}

func (d drawn) password(t *testing.T) ykslot.ScanCodes {
	all := keyboard.All()
	l := all[d.IntN(len(all))]
	var chars []rune
	for s := range 0x100 {
		if r, ok := l.Char(byte(s)); ok {
			chars = append(chars, r)
		}
	}
	text := make([]rune, 1+d.IntN(ykslot.MaxStrokes))
	for i := range text {
		text[i] = chars[d.IntN(len(chars))]
	}
	return ykslot.ScanCodes{Text: secret.New([]byte(string(text))), Layout: l, Flags: d.flags()}
}

func (d drawn) ticket() ykslot.EncryptedPassword {
	f := d.flags()
	if d.on.Major == 2 {
		f.Config |= ykslot.ConfigFlag(d.IntN(2)) * ykslot.ManUpdate
	}
	f.Config |= ykslot.ConfigFlag(d.IntN(2)) * ykslot.SendRef
	return ykslot.EncryptedPassword{
		PublicID: d.bytes(d.IntN(17)), PrivateID: d.secret(6), Key: d.secret(16), Short: d.IntN(2) == 0, Upper: d.IntN(2) == 0, Numbers: d.IntN(2) == 0, Flags: f,
	}
}

// TestKeysTypeWhatIsPredicted: random option sets of every kind, written to virtual keys of every generation, type what Press
// says, and MatchPress finds the moving factor.
func TestKeysTypeWhatIsPredicted(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { typesAll(t, p) }) // silence ends a press without Enter
		})
	}
}

func typesAll(t *testing.T, p vkey.Profile) {
	r := openRig(t, p, vkey.Options{Serial: serial})
	d := drawn{rand.New(rand.NewPCG(7, uint64(p.Version.Major))), r.Status().Version}
	for i := range 60 {
		slot := ykslot.Slot(1 + i%2)
		var b builder
		switch i % 3 {
		case 0:
			b = d.hotp()
		case 1:
			b = d.password(t)
		default:
			b = d.ticket()
		}
		c, err := b.Config()
		if err != nil {
			t.Fatalf("%T: %v", b, err)
		}
		want(t, "write", r.Write(t.Context(), slot, c, none), false, 0)
		from := c.MovingFactor()
		for n := range int64(3) {
			text, ok := c.Press(from + n)
			if !ok {
				t.Fatalf("%v is not predicted", c.Mode())
			}
			if got := r.typed(t, slot, text); got != string(text.Reveal()) {
				t.Fatalf("%v: %d characters differ from the %d predicted", c, len(got), text.Len())
			}
			if c.Mode() != ykslot.ModeHOTP {
				continue
			}
			if m, ok := c.MatchPress(string(text.Reveal()), from, 5); !ok || m != from+n {
				t.Fatalf("%v: matched %d, %v", c, m, ok)
			}
		}
	}
}

// typed touches the slot and reads what it types.
func (r *rig) typed(t *testing.T, slot ykslot.Slot, want secret.Bytes) string {
	t.Helper()
	if !r.key.Touch(int(slot)) {
		if want.Len() == 0 {
			return ""
		}
		t.Fatalf("%v does not react", slot)
	}
	got, err := ykslot.ReadPressOf(t.Context(), r.conn, want.Len())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestPressIsNotPredicted of what depends on the key's counters, and of what types nothing.
func TestPressIsNotPredicted(t *testing.T) {
	t.Parallel()
	for _, b := range []builder{
		ykslot.YubicoOTP{PrivateID: bytesOf(6, 1), Key: bytesOf(16, 1)},
		ykslot.ChallengeHMAC{Key: bytesOf(20, 1)}, ykslot.ChallengeYubico{Key: bytesOf(16, 1)},
	} {
		c, err := b.Config()
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := c.Press(0); ok || text.Len() != 0 {
			t.Errorf("%v: %d characters, %v", c.Mode(), text.Len(), ok)
		}
		if _, ok := c.MatchPress("", 0, 3); ok {
			t.Errorf("%v matches", c.Mode())
		}
	}
}

// TestRFC4226Press: the codes of the RFC, in frames of text.
func TestRFC4226Press(t *testing.T) {
	t.Parallel()
	seed := secret.New([]byte("12345678901234567890"))
	id, err := ykslot.ParseTokenID("-", 7654321)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		make ykslot.HOTP
		at   int64
		want string
	}{
		{ykslot.HOTP{Seed: seed}, 0, "755224"},
		{ykslot.HOTP{Seed: seed}, 9, "520489"},
		{ykslot.HOTP{Seed: seed, Digits: 8}, 0, "84755224"},
		{ykslot.HOTP{Seed: seed, TokenID: id}, 1, "ubhe07654321287082"},
		{ykslot.HOTP{Seed: seed, TokenID: id, Flags: ykslot.Flags{Ticket: 0x27}}, 1, "\tubhe07654321\t287082\t"},
	} {
		c, err := tc.make.Config()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Press(tc.at); !ok || string(got.Reveal()) != tc.want {
			t.Errorf("%q, want %q", got.Reveal(), tc.want)
		}
	}
}

// TestTicketPress: reference yubikey-otp.md §4.3 and §3.3: the plain text is uid, eight FF and the CRC.
func TestTicketPress(t *testing.T) {
	t.Parallel()
	key := make([]byte, 16)
	for i := range key {
		key[i] = byte(i)
	}
	base := ykslot.EncryptedPassword{Key: secret.New(key)}
	type change func(*ykslot.EncryptedPassword)
	for _, tc := range []struct {
		name string
		do   change
		want string
	}{
		{"zero ID", func(*ykslot.EncryptedPassword) {}, ticketZero},
		{"ID", func(e *ykslot.EncryptedPassword) { e.PrivateID = secret.New([]byte{1, 2, 3, 4, 5, 6}) }, ticketID},
		{"short", func(e *ykslot.EncryptedPassword) { e.Short = true }, ticketZero[:16]},
		{"public ID and tab", func(e *ykslot.EncryptedPassword) { e.PublicID, e.Ticket = []byte{0xff, 0}, ykslot.AppendTab1 }, "vvcc\t" + ticketZero},
		{"reference", func(e *ykslot.EncryptedPassword) { e.Flags.Config = ykslot.SendRef }, "cbdefghijklnrtuv" + ticketZero},
		{"strong", func(e *ykslot.EncryptedPassword) { e.Upper, e.Numbers, e.Flags.Config = true, true, ykslot.SendRef }, "!" + strong(ticketZero)},
	} {
		e := base
		tc.do(&e)
		c, err := e.Config()
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := c.Press(0); !ok || string(got.Reveal()) != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got.Reveal(), tc.want)
		}
	}
}

// The ModHex of AES-128 with key 000102…0f of 000000000000ffffffffffffffff0f2e and 010203040506ffffffffffffffffa0ba, by openssl.
const (
	ticketZero = "thgdnvglefdhgujctbgbkfgcrvuidrfv"
	ticketID   = "egjurkuiflblngecdindctckubuulhuc"
)

// strong is what the strong-password flags make of a block, said in another way than the code says it.
func strong(text string) string {
	text = strings.NewReplacer("c", "0", "b", "1", "d", "2", "e", "3", "f", "4", "g", "5", "h", "6", "i", "7").Replace(text)
	for i, left := 0, 2; i < len(text) && left > 0; i++ {
		if text[i] >= 'a' {
			text = text[:i] + strings.ToUpper(text[i:i+1]) + text[i+1:]
			left--
		}
	}
	return text
}

// TestGeneratePassword: from the layout's alphabet, each character as often as another, and errors of the source come back.
func TestGeneratePassword(t *testing.T) {
	t.Parallel()
	d := drawn{Rand: rand.New(rand.NewPCG(1, 2))}
	for _, l := range keyboard.All() {
		alphabet := []rune(l.Alphabet())
		count := map[rune]int{}
		const draws = 40 * ykslot.MaxStrokes
		for range 40 {
			p, err := ykslot.GeneratePassword(randReader{d}, l, ykslot.MaxStrokes)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range string(p.Reveal()) {
				count[r]++
			}
			if _, err := (ykslot.ScanCodes{Text: p, Layout: l}).Config(); err != nil {
				t.Fatalf("%s: %v", l.Name, err)
			}
		}
		chi := 0.0
		expect := float64(draws) / float64(len(alphabet))
		for _, r := range alphabet {
			chi += (float64(count[r]) - expect) * (float64(count[r]) - expect) / expect
		}
		if k := float64(len(alphabet)); chi > 2*k+40 || len(count) > len(alphabet) { // far beyond any quantile
			t.Errorf("%s: chi square %.0f over %d characters", l.Name, chi, len(alphabet))
		}
	}
	us, _ := keyboard.Lookup("us")
	broken := errors.New("broken")
	for _, n := range []int{0, -1, 39} {
		if _, err := ykslot.GeneratePassword(randReader{d}, us, n); err == nil {
			t.Errorf("%d characters", n)
		}
	}
	if p, err := ykslot.GeneratePassword(failing{broken}, us, 8); !errors.Is(err, broken) || p.Len() != 0 {
		t.Errorf("%v", err)
	}
	if _, err := ykslot.GeneratePassword(randReader{d}, keyboard.Layout{}, 8); err == nil {
		t.Error("no layout")
	}
}

type randReader struct{ d drawn }

func (r randReader) Read(b []byte) (int, error) { return copy(b, r.d.bytes(len(b))), nil }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
