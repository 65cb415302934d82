package provision

import (
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/ykslot"
)

// FromProfile is what a profile that Check took wants for one key: everything but the holder. Touch, stock numbers, key files and
// paper are the caller's: a batch sets Verify for each key by p.Touch. A profile with the defaults of its kind has the zero Options.
func FromProfile(p profile.Profile) Spec {
	s := Spec{
		Slot: p.Slot, Kind: p.Kind, AccessCode: AccessCodeMode(p.AccessCode), Verify: p.Verify, Overwrite: Class(p.Overwrite), Reason: p.Reason,
		Options: Options{FixedLength: p.FixedLength, Touch: p.Button, MovingFactor: p.MovingFactor},
	}
	if p.PublicID != "none" {
		s.PublicID = PublicIDScheme(p.PublicID)
	}
	plain, o := profile.New(p.Name, p.Kind), &s.Options
	if p.Digits != plain.Digits {
		o.Digits = p.Digits
	}
	if p.Challenge != plain.Challenge {
		o.Challenge = ChallengeMode(p.Challenge)
	}
	if p.Password != plain.Password {
		o.Password = PasswordMode(p.Password)
	}
	if p.Layout != plain.Layout {
		o.Layout = p.Layout
	}
	if p.Length != plain.Length {
		o.Length = p.Length
	}
	if profile.Typing(p.Kind) && !p.Enter {
		o.Clear.Ticket |= ykslot.AppendCR
	}
	if profile.Typing(p.Kind) && !p.FastTrigger {
		o.Clear.Ext |= ykslot.FastTrig
	}
	if !p.Updatable {
		o.Clear.Ext |= ykslot.AllowUpdate
	}
	if p.Pacing == 20 || p.Pacing == 60 { // reference yubikey-otp.md §3.2: 20 and 40 ms on current firmware, both 60
		o.Set.Config |= ykslot.Pacing10ms
	}
	if p.Pacing == 40 || p.Pacing == 60 {
		o.Set.Config |= ykslot.Pacing20ms
	}
	return s
}
