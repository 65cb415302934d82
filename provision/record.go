package provision

import (
	"errors"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// SlotConfig is what the credential's record says its slot holds. UID, Key and Fixed are copies, for the caller to clear by
// DestroyConfig; the access code is the credential's. A password of scan codes is kept as its strokes, without the zeros at the end.
func SlotConfig(c token.Credential) (ykslot.Config, error) {
	f, s := FlagsOf(c.Settings), c.Secrets
	var cfg ykslot.Config
	var err error
	shared := false
	switch mode := f.Mode(); {
	case c.Kind == token.HOTP:
		id := ykslot.Config{Fixed: c.PublicID.Bytes(), Flags: f}.TokenID()
		cfg, err = ykslot.HOTP{
			TokenID: id, Seed: s.Key, Digits: c.Settings.Digits, MovingFactor: c.Settings.FirstMoving, AccessCode: s.AccessCode, Flags: f,
		}.Config()
	case c.Kind == token.ChallengeResponse && mode == ykslot.ModeChallengeYubico:
		cfg, err = ykslot.ChallengeYubico{Key: s.Key, AccessCode: s.AccessCode, Flags: f}.Config()
		shared = true
	case c.Kind == token.ChallengeResponse:
		cfg, err = ykslot.ChallengeHMAC{Key: s.Key, FixedLength: f.Config&ykslot.HMACLessThan == 0, AccessCode: s.AccessCode, Flags: f}.Config()
	case c.Kind == token.Static && mode == ykslot.ModeStatic:
		cfg, err = ykslot.EncryptedPassword{PublicID: c.PublicID.Bytes(), PrivateID: s.PrivateID, Key: s.Key, AccessCode: s.AccessCode, Flags: f}.Config()
		shared = true
	case c.Kind == token.Static:
		cfg, err = strokesConfig(s, f)
	case c.Kind == token.YubicoOTP:
		cfg, err = ykslot.YubicoOTP{PublicID: c.PublicID.Bytes(), PrivateID: s.PrivateID, Key: s.Key, AccessCode: s.AccessCode, Flags: f}.Config()
		shared = true
	default:
		err = errors.New("this kind of credential is in no slot")
	}
	if shared && err == nil {
		cfg.UID, cfg.Key = cfg.UID.Clone(), cfg.Key.Clone()
	}
	return cfg, err
}

// strokesConfig puts the strokes of a password where a slot has them: fixed part, UID, key.
func strokesConfig(s token.Secrets, f ykslot.Flags) (ykslot.Config, error) {
	var all [ykslot.MaxStrokes]byte
	defer clear(all[:])
	if s.Key.Len() > len(all) {
		return ykslot.Config{}, errors.New("a password of too many strokes")
	}
	copy(all[:], s.Key.Reveal())
	const uid, key = ykslot.FixedLen, ykslot.FixedLen + ykslot.UIDLen
	c := ykslot.Config{
		Fixed: append([]byte(nil), all[:uid]...), UID: secret.Copy(all[uid:key]), Key: secret.Copy(all[key:]), AccessCode: s.AccessCode, Flags: f,
	}
	return c, c.Validate()
}

// strokes is the other way.
func strokes(c ykslot.Config) secret.Bytes {
	all := append(append(append(make([]byte, 0, ykslot.MaxStrokes), c.Fixed...), c.UID.Reveal()...), c.Key.Reveal()...)
	n := len(all)
	for n > 1 && all[n-1] == 0 {
		n--
	}
	return secret.New(all[:n])
}

// DestroyConfig clears what SlotConfig copied.
func DestroyConfig(c ykslot.Config) {
	c.UID.Destroy()
	c.Key.Destroy()
	clear(c.Fixed)
}

// FlagsOf are the flags in a record.
func FlagsOf(s token.Settings) ykslot.Flags {
	return ykslot.Flags{Ext: ykslot.ExtFlag(s.ExtFlags), Ticket: ykslot.TicketFlag(s.TicketFlags), Config: ykslot.ConfigFlag(s.ConfigFlags)}
}

// setFlags is the other way.
func setFlags(s *token.Settings, f ykslot.Flags) {
	s.ExtFlags, s.TicketFlags, s.ConfigFlags = uint8(f.Ext), uint8(f.Ticket), uint8(f.Config)
}
