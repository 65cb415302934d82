package ykslot_test

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// scripted is a card that has what its fields say in hexadecimal, status words included; "" is 6A82. A NEO in Management finds nothing but that
// before it is unselected.
type scripted struct {
	management, otp, status string
	asked, info             string // what a slot command and reading device information are answered with
	atr                     []byte
	stuck                   bool
	inside                  bool // Management is selected
	failing                 error
}

func (c *scripted) ATR() []byte { return c.atr }

func (c *scripted) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if c.failing != nil {
		return nil, c.failing
	}
	answer := ""
	switch text := hex.EncodeToString(command); {
	case text == "a4040008":
		c.inside, answer = false, "6e00"
	case strings.HasPrefix(text, "00a4040008a000000527471117"):
		answer = c.management
		c.inside = c.stuck && answer != ""
	case strings.HasPrefix(text, "001d"):
		answer = c.info
	case c.inside:
	case strings.HasPrefix(text, "00a4040007a0000005272001"):
		answer = c.otp
	case strings.HasPrefix(text, "0001"):
		answer = c.asked
	case strings.HasPrefix(text, "0003"):
		answer = c.status
	}
	if answer == "" {
		answer = "6a82"
	}
	return hex.DecodeString(answer)
}

// text is what Management says about itself.
func text(s string) string { return hex.EncodeToString([]byte(s)) + "9000" }

// TestCardVersion: the firmware is what Management says; of a NEO the higher of that and what the OTP application says, and that alone where
// Management says nothing. Source: reference yubikey-otp.md §5, §7.1.
func TestCardVersion(t *testing.T) {
	t.Parallel()
	const garbage = "af5c6250c3a89000"
	for name, tc := range map[string]struct {
		card scripted
		want string
	}{
		"5, garbage over NFC":       {scripted{management: text("FW 5.4.3"), otp: garbage, status: garbage}, "5.4.3"},
		"Edge, 9000 in the text":    {scripted{management: hex.EncodeToString([]byte("mgr 4.2.4")) + "90009000", otp: "0402040000059000", status: "0402040000059000"}, "4.2.4"},
		"NEO, the application's":    {scripted{management: text("3.1.0"), otp: "0304030000059000", status: "0304030000059000", stuck: true}, "3.4.3"},
		"NEO, Management's":         {scripted{management: text("3.4.3"), otp: "0301000000059000", status: "0301000000059000", stuck: true}, "3.4.3"},
		"NEO, garbage is no higher": {scripted{management: text("3.4.3"), otp: garbage, status: garbage, stuck: true}, "3.4.3"},
		"without Management":        {scripted{otp: "0304030000059000", status: "0304030000059000"}, "3.4.3"},
		"Management without number": {scripted{management: text("hello"), otp: "0503010000059000", status: "0503010000059000"}, "5.3.1"},
	} {
		s, err := ykslot.OpenCard(t.Context(), &tc.card)
		if err != nil || s.Status().Version.String() != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// TestCardNotOpened: what is no key, or does not have what is asked for, is said and not opened.
func TestCardNotOpened(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	open := func(c *scripted) error { _, err := ykslot.OpenCard(t.Context(), c); return err }
	manage := func(c *scripted) error { _, err := ykslot.OpenManagement(t.Context(), c); return err }
	for name, tc := range map[string]struct {
		open func(*scripted) error
		card scripted
		want error
	}{
		"nothing":                     {open, scripted{}, ykslot.ErrNoApplet},
		"OTP that does not let in":    {open, scripted{management: text("5.4.3"), otp: "6985"}, apdu.ConditionsNotSatisfied},
		"no number anywhere":          {open, scripted{otp: "0000000000059000", status: "0000000000059000"}, ykslot.ErrProtocol},
		"a status cut off":            {open, scripted{management: text("5.4.3"), otp: "9000", status: "05049000"}, ykslot.ErrProtocol},
		"no Management":               {manage, scripted{otp: "0304030000059000"}, ykslot.ErrNoApplet},
		"Management without a number": {manage, scripted{management: text("0.0.0")}, ykslot.ErrNoApplet},
		"broken":                      {open, scripted{failing: broken}, broken},
		"broken, by Management":       {manage, scripted{failing: broken}, broken},
	} {
		if err := tc.open(&tc.card); !errors.Is(err, tc.want) || tc.want == apdu.ConditionsNotSatisfied && errors.Is(err, ykslot.ErrNoApplet) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	s, err := ykslot.OpenManagement(t.Context(), &vcard{Card: vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial}).Card()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Serial(t.Context()); !errors.Is(err, ykslot.ErrNoApplet) {
		t.Errorf("slots by Management: %v", err)
	}
	if st, err := s.ReadStatus(t.Context()); err != nil || st.Version.String() != "5.4.3" {
		t.Errorf("status by Management: %v, %v", st, err)
	}
}

// TestCardQuestions: a card that says nothing, or an error, to a question hides the answer; one that says the wrong number of bytes is not
// believed; device information has pages.
func TestCardQuestions(t *testing.T) {
	t.Parallel()
	const status = "0504030000059000"
	for name, tc := range map[string]struct {
		asked, info  string
		serial, page error
	}{
		"both":           {"000000079000", "0405020001" + "9000", nil, ykslot.ErrProtocol}, // a version of two bytes
		"silent":         {"9000", "9000", ykslot.ErrSerialHidden, nil},
		"refused":        {"6985", "6985", ykslot.ErrSerialHidden, apdu.ConditionsNotSatisfied},
		"too short":      {"0000079000", "05040101" + "9000", ykslot.ErrProtocol, ykslot.ErrProtocol},
		"too long":       {"00000000079000", "0204010101" + "9000", ykslot.ErrProtocol, ykslot.ErrProtocol},
		"a count, alone": {"039000", "03040101" + "9000", ykslot.ErrProtocol, nil},
	} {
		s, err := ykslot.OpenCard(t.Context(), &scripted{management: text("5.4.3"), otp: status, status: status, asked: tc.asked, info: tc.info})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := s.Serial(t.Context()); !errors.Is(err, tc.serial) || err == nil && n != 7 {
			t.Errorf("%s: serial %d, %v", name, n, err)
		}
		if d, err := s.DeviceInfo(t.Context()); name != "silent" && !errors.Is(err, tc.page) || err == nil && d.FormFactor != 1 {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
	}
	d, err := openCard(t, vkey.New(vkey.YubiKey571, vkey.Options{Serial: serial}).Card()).DeviceInfo(t.Context())
	if err != nil || d.PartNumber != "VIRTUAL-KEY" || d.Serial != serial {
		t.Errorf("second page: %+v, %v", d, err)
	}
}

// TestCardOrNot: a NEO takes its mode by the OTP application; a keyboard interface answers and writes everything.
func TestCardOrNot(t *testing.T) {
	t.Parallel()
	k := vkey.New(vkey.YubiKeyNEO, vkey.Options{Serial: serial})
	if err := openCard(t, k.Card()).SetMode(t.Context(), ykslot.USBMode{OTP: true, CCID: true}); err != nil {
		t.Error(err)
	}
	k.PowerCycle()
	if got := vkey.Interfaces(k.USB().PID); got != vkey.OTP|vkey.CCID {
		t.Errorf("interfaces %v", got)
	}
	r := openRig(t, vkey.YubiKey435, vkey.Options{})
	if err := errors.Join(r.Writable(), r.Answers()); err != nil {
		t.Error(err)
	}
}

// TestCardByRadio: a key is on USB unless its answer to reset says that a reader's field feeds it. Source: reference yubikey-otp.md §1.2.
func TestCardByRadio(t *testing.T) {
	t.Parallel()
	for atr, nfc := range map[string]bool{
		"": false, "3b": false, "3bfd": false, "3b8d": true,
		"3bfd1300008131fe158073c021c057597562694b657940": false, "3b8d80018073c021c057597562694b6579f9": true,
		"3bf81300008131fe15597562696b657934d4": false, "3b8c8001597562696b65794e454f723358": true,
	} {
		c := &scripted{management: text("5.4.3"), otp: "0504030000059000", status: "0504030000059000", atr: fromHex(t, atr)}
		s, err := ykslot.OpenCard(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if (s.Answers() == nil) != nfc {
			t.Errorf("%s: by NFC %v", atr, !nfc)
		}
	}
}

// TestCardStaleSlots: firmware whose status stays as it was tells by a sequence of 0 alone that it took a write. What the slots hold then is what
// was written, and after that the card cannot tell. Source: reference yubikey-otp.md §1.6, §1.7.
func TestCardStaleSlots(t *testing.T) {
	t.Parallel()
	v := ykslot.Version{Major: 5, Minor: 4, Patch: 2}
	hmac := func(touch bool) ykslot.Config {
		c, err := ykslot.ChallengeHMAC{Key: bytesOf(20, 1), Touch: touch, Flags: ykslot.ChallengeFlags(v)}.Config()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	hotp, err := ykslot.HOTP{Seed: bytesOf(20, 1), Flags: ykslot.TypingFlags(v)}.Config()
	if err != nil {
		t.Fatal(err)
	}
	ticket, err := ykslot.EncryptedPassword{Key: bytesOf(16, 1), Flags: ykslot.TypingFlags(v)}.Config()
	if err != nil {
		t.Fatal(err)
	}
	write := func(slot ykslot.Slot, c ykslot.Config) func(*ykslot.Session) error {
		return func(s *ykslot.Session) error { return s.Write(t.Context(), slot, c, none) }
	}
	const one, two, touch1, touch2 = 1, 2, 4, 8
	for name, tc := range map[string]struct {
		do    func(*ykslot.Session) error
		touch uint16 // of slot 1, which types, and what is done
	}{
		"OTP":             {write(2, otpConfig(t, v, 1, none)), one | touch1 | two | touch2},
		"HOTP":            {write(2, hotp), one | touch1 | two | touch2},
		"ticket":          {write(2, ticket), one | touch1 | two | touch2},
		"HMAC":            {write(2, hmac(false)), one | touch1 | two},
		"HMAC with touch": {write(2, hmac(true)), one | touch1 | two | touch2},
		"over slot 1":     {write(1, hmac(false)), one},
		"swap":            {func(s *ykslot.Session) error { return s.Swap(t.Context()) }, two | touch2},
		"delete":          {func(s *ykslot.Session) error { return s.Delete(t.Context(), 1, none) }, 0},
	} {
		c := &scripted{management: text("5.4.2"), otp: "0504020305009000", status: "0504020305009000", asked: "0504020005009000", atr: fromHex(t, "3b8d")}
		s, err := ykslot.OpenCard(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		if err := tc.do(s); err != nil || s.Status().Touch != tc.touch {
			t.Errorf("%s: %v, touch bits %02x, want %02x", name, err, s.Status().Touch, tc.touch)
		}
		c.status = "0504020005009000"
		if err := tc.do(s); !errors.Is(err, ykslot.ErrStale) {
			t.Errorf("%s, again: %v, want ErrStale", name, err)
		}
	}
	for name, c := range map[string]scripted{
		"refused, the sequence stands": {status: "0504020305009000", asked: "0504020305009000"},
		"refused with a status word":   {status: "0504020005009000", asked: "6985"},
	} {
		c.management, c.otp, c.atr = text("5.4.2"), c.status, fromHex(t, "3b8d")
		s, err := ykslot.OpenCard(t.Context(), &c)
		if err != nil {
			t.Fatal(err)
		}
		var refused *ykslot.RejectedError
		if err := write(2, hotp)(s); !errors.As(err, &refused) || errors.Is(err, ykslot.ErrUnsettled) || s.Status().Configured(ykslot.Slot2) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fresh := &scripted{management: text("5.4.3"), otp: "0504030305009000", status: "0504030305009000", asked: "0504030005009000"}
	s, err := ykslot.OpenCard(t.Context(), fresh)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(2, hotp)(s); !errors.Is(err, ykslot.ErrUnsettled) || errors.Is(err, ykslot.ErrStale) {
		t.Errorf("5.4.3 that falls to 0: %v", err)
	}
}
