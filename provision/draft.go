package provision

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/keyboard"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// kind is the kind that is wanted.
func (s Spec) kind() token.Kind {
	if s.Kind == "" {
		return token.YubicoOTP
	}
	return s.Kind
}

// flags are the baseline of the kind with what was set and cleared.
func (s Spec) flags(v ykslot.Version) ykslot.Flags {
	f := ykslot.TypingFlags(v)
	if s.kind() == token.ChallengeResponse {
		f = ykslot.ChallengeFlags(v)
	}
	o := s.Options
	f.Ext = f.Ext&^o.Clear.Ext | o.Set.Ext
	f.Ticket = f.Ticket&^o.Clear.Ticket | o.Set.Ticket
	f.Config = f.Config&^o.Clear.Config | o.Set.Config
	return f
}

// stray are options that do not go with the kind.
func (s Spec) stray() error {
	k, o := s.kind(), s.Options
	for _, row := range []struct {
		name string
		set  bool
		of   []token.Kind
	}{
		{"digits", o.Digits != 0, []token.Kind{token.HOTP}},
		{"a moving factor", o.MovingFactor != 0, []token.Kind{token.HOTP}},
		{"a token identifier", o.TokenID != "", []token.Kind{token.HOTP}},
		{"a kind of challenge", o.Challenge != "", []token.Kind{token.ChallengeResponse}},
		{"a fixed length", o.FixedLength, []token.Kind{token.ChallengeResponse}},
		{"a touch", o.Touch, []token.Kind{token.ChallengeResponse}},
		{"a kind of password", o.Password != "", []token.Kind{token.Static}},
		{"a layout", o.Layout != "", []token.Kind{token.Static}},
		{"a length", o.Length != 0, []token.Kind{token.Static}},
		{"a given public ID", s.PublicID == Given, []token.Kind{token.YubicoOTP, token.Static}},
		{"a private ID", s.own().PrivateID.Len() > 0, []token.Kind{token.YubicoOTP, token.Static}},
	} {
		if row.set && !slices.Contains(row.of, k) {
			return fmt.Errorf("%s does not go with %s", row.name, k)
		}
	}
	switch {
	case !slices.Contains(SlotKinds(), k):
		return fmt.Errorf("a slot cannot hold %s", k)
	case o.Challenge != "" && o.Challenge != HMACChallenge && o.Challenge != YubicoChallenge:
		return errors.New("the challenge is hmac or yubico")
	case o.Challenge == YubicoChallenge && o.FixedLength:
		return errors.New("a fixed length does not go with Yubico challenges")
	case o.Password != "" && o.Password != ScanCodes && o.Password != Ticket:
		return errors.New("the password is scan-codes or ticket")
	case o.Password == Ticket && o.Layout != "":
		return errors.New("a layout does not go with a ticket: its ModHex types itself on most")
	case o.Password == Ticket && o.Length != 0 && o.Length != ticketLen && o.Length != shortTicketLen:
		return errors.New("a ticket has 32 or 16 characters")
	case o.Password != Ticket && k == token.Static && (s.PublicID == Given || s.own().PrivateID.Len() > 0):
		return errors.New("IDs do not go with a password of scan codes")
	case o.Password != Ticket && k == token.Static && o.Length != 0 && s.own().Key.Len() > 0:
		return errors.New("a length goes with a password that is drawn")
	}
	return s.strayFlags()
}

// strayFlags are flags whose bits mean something else in the kind: a short ticket is eight digits of HOTP, pacing the touch or the variable
// length of challenge-response. Source: reference yubikey-otp.md §3.2.
func (s Spec) strayFlags() error {
	k, o := s.kind(), s.Options
	for _, t := range Toggles() {
		if t.On(o.Set) && !t.Goes(k) {
			return fmt.Errorf("%s does not go with %s", t.Name, k)
		}
	}
	short := o.Set.Config&ykslot.ShortTicket != 0
	switch {
	case short && o.Password != Ticket:
		return errors.New("short-ticket does not go with a password of scan codes")
	case short && o.Length == ticketLen, o.Clear.Config&ykslot.ShortTicket != 0 && o.Length == shortTicketLen:
		return fmt.Errorf("a length of %d and short-ticket exclude each other", o.Length)
	}
	return nil
}

// SlotKinds are the kinds that a slot can hold.
func SlotKinds() []token.Kind {
	return []token.Kind{token.YubicoOTP, token.HOTP, token.ChallengeResponse, token.Static}
}

// Characters of an encrypted password. Source: reference yubikey-otp.md §3.3.
const (
	ticketLen      = 2 * yubiotp.BlockLen
	shortTicketLen = yubiotp.BlockLen
)

// draft is the configuration that a spec asks for, with given secrets or drawn ones, which the caller clears by DestroyConfig. The
// secrets of its record are returned beside it. The access code is left out.
func (s Spec) draft(random io.Reader, v ykslot.Version, serial token.Serial, id token.PublicID) (c ykslot.Config, record token.Secrets, err error) {
	f, o := s.flags(v), s.Options
	key := func(n int) (secret.Bytes, error) {
		if s.own().Key.Len() > 0 {
			return s.own().Key.Clone(), nil
		}
		return secret.Random(random, n)
	}
	switch s.kind() {
	case token.HOTP:
		var tid ykslot.TokenID
		if tid, err = ykslot.ParseTokenID(o.TokenID, uint32(serial)); err != nil {
			return c, record, err
		}
		if record.Key, err = key(ykslot.SeedLen); err == nil {
			c, err = ykslot.HOTP{TokenID: tid, Seed: record.Key, Digits: o.Digits, MovingFactor: o.MovingFactor, Flags: f}.Config()
		}
	case token.ChallengeResponse:
		if o.Challenge == YubicoChallenge {
			if record.Key, err = key(ykslot.KeyLen); err == nil {
				c, err = ykslot.ChallengeYubico{Key: record.Key, Touch: o.Touch, Flags: f}.Config()
				c.Key, c.UID = c.Key.Clone(), c.UID.Clone()
			}
			return c, record, err
		}
		if record.Key, err = key(ykslot.SeedLen); err == nil {
			c, err = ykslot.ChallengeHMAC{Key: record.Key, FixedLength: o.FixedLength, Touch: o.Touch, Flags: f}.Config()
		}
	case token.Static:
		if o.Password != Ticket {
			c, err = s.scanCodes(random, f)
			if err == nil {
				record.Key = strokes(c)
			}
			return c, record, err
		}
		fallthrough
	default:
		return s.block(key, random, f, id)
	}
	return c, record, err
}

// block is a Yubico OTP or a ticket: both are an AES key and a private ID behind a public one.
func (s Spec) block(key func(int) (secret.Bytes, error), random io.Reader, f ykslot.Flags, id token.PublicID) (c ykslot.Config, record token.Secrets, err error) {
	if record.Key, err = key(ykslot.KeyLen); err != nil {
		return c, record, err
	}
	if record.PrivateID = s.own().PrivateID.Clone(); record.PrivateID.Len() == 0 {
		if record.PrivateID, err = secret.Random(random, ykslot.UIDLen); err != nil {
			return c, record, err
		}
	}
	if s.kind() == token.Static {
		c, err = ykslot.EncryptedPassword{
			PublicID: id.Bytes(), PrivateID: record.PrivateID, Key: record.Key, Short: s.Options.Length == shortTicketLen, Flags: f,
		}.Config()
	} else {
		c, err = ykslot.YubicoOTP{PublicID: id.Bytes(), PrivateID: record.PrivateID, Key: record.Key, Flags: f}.Config()
	}
	c.Key, c.UID = c.Key.Clone(), c.UID.Clone()
	return c, record, err
}

// scanCodes is a password as the operator gave it, or one that is drawn.
func (s Spec) scanCodes(random io.Reader, f ykslot.Flags) (ykslot.Config, error) {
	name := s.Options.Layout
	if name == "" {
		name = defaultLayout
	}
	l, ok := keyboard.Lookup(name)
	if !ok {
		return ykslot.Config{}, &ykslot.InvalidError{Rule: "there is no such keyboard layout"}
	}
	text := s.own().Key.Clone()
	if text.Len() == 0 {
		n := s.Options.Length
		if n == 0 {
			n = ykslot.MaxStrokes
		}
		var err error
		if text, err = ykslot.GeneratePassword(random, l, n); err != nil {
			return ykslot.Config{}, err
		}
	}
	defer text.Destroy()
	return ykslot.ScanCodes{Text: text, Layout: l, Flags: f}.Config()
}

const defaultLayout = "modhex"
