package provision

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

var code1, code2 = []byte{1, 2, 3, 4, 5, 6}, []byte{6, 5, 4, 3, 2, 1}

// update builds an update of slot 2.
func update(f func(*UpdateSpec)) func(Have) (token.SlotChange, error) {
	return func(h Have) (token.SlotChange, error) {
		u := UpdateSpec{Slot: 2}
		f(&u)
		c, _, err := BuildUpdate(u, h)
		return c, err
	}
}

func erase(h Have) (token.SlotChange, error) { return BuildErase(EraseSpec{Slot: 2}, h) }

// changeCases are what is done to a key with an HOTP in slot 1 and HMAC or an OTP in slot 2.
func changeCases() map[string]struct {
	second Spec
	build  func(Have) (token.SlotChange, error)
} {
	otp, hmac := want(nil), of(token.ChallengeResponse, Options{})
	bare := func(s Spec) Spec { s.AccessCode = NoCode; return s }
	pace := func(u *UpdateSpec) {
		u.Set, u.Clear = ykslot.Flags{Config: ykslot.Pacing20ms, Ext: ykslot.LEDInv}, ykslot.Flags{Ticket: ykslot.AppendCR}
	}
	set := func(u *UpdateSpec) { u.Code, u.NewCode = CodeSet, secret.Copy(code1) }
	return map[string]struct {
		second Spec
		build  func(Have) (token.SlotChange, error)
	}{
		"flags, code kept":      {otp, update(pace)},
		"flags, no code":        {bare(otp), update(pace)},
		"led of hmac":           {hmac, update(func(u *UpdateSpec) { u.Set.Ext = ykslot.LEDInv })},
		"code set":              {bare(hmac), update(set)},
		"code changed":          {otp, update(set)},
		"code removed":          {otp, update(func(u *UpdateSpec) { u.Code = CodeRemoved })},
		"flags and code":        {otp, update(func(u *UpdateSpec) { pace(u); set(u) })},
		"erased":                {otp, erase},
		"erased without a code": {bare(hmac), erase},
		"swapped":               {bare(otp), BuildSwap},
		"swapped with hmac":     {bare(hmac), BuildSwap},
	}
}

// prepared is a bench with both slots written.
func prepared(t *testing.T, second Spec) *bench {
	t.Helper()
	b := newBench(t, vkey.YubiKey543)
	first := of(token.HOTP, Options{})
	first.Slot, first.AccessCode = 1, NoCode
	for _, w := range []Spec{first, second} {
		if _, err := b.run(w); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

func TestChanges(t *testing.T) {
	t.Parallel()
	for name, tc := range changeCases() {
		b := prepared(t, tc.second)
		if err := b.change(tc.build, secret.Bytes{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b.agreeAll(name)
	}
}

// Killed after each call to the store, unplugged or stalled at each report, or with a report lost: resume brings both together.
func TestChangesInterrupted(t *testing.T) {
	t.Parallel()
	faults := map[string]func(b *bench, n int){
		"killed": func(b *bench, n int) { b.book.calls, b.book.dieAt = 0, n },
		"unplug": func(b *bench, n int) { b.key.SetFaults(vkey.Faults{UnplugAfter: n}) },
		"stall":  func(b *bench, n int) { b.key.SetFaults(vkey.Faults{StallReport: n}) },
		"lose":   func(b *bench, n int) { b.key.SetFaults(vkey.Faults{LoseSet: n}) },
		"stale":  func(b *bench, n int) { b.key.SetFaults(vkey.Faults{StaleStatus: n}) },
	}
	most := map[string]int{"killed": 3, "stale": 3, "unplug": 100, "stall": 100, "lose": 100}
	for name, tc := range changeCases() {
		for fault, arm := range faults {
			t.Run(name+", "+fault, func(t *testing.T) {
				t.Parallel()
				for n := 1; ; n++ {
					b := prepared(t, tc.second)
					arm(b, n)
					err := errors.New("killed")
					func() {
						defer func() {
							if r := recover(); r != nil && r != any(died{}) {
								panic(r)
							}
						}()
						err = b.change(tc.build, secret.Bytes{})
					}()
					b.book.dieAt = 0
					b.key.SetFaults(vkey.Faults{})
					b.key.PowerCycle()
					if _, err := b.resumeChanges(); err != nil {
						t.Errorf("%d: resume: %v", n, err)
					}
					b.agreeAll(fmt.Sprint(n))
					if err == nil && n > 15 || n > most[fault] {
						return
					}
				}
			})
		}
	}
}

func TestRefusedChanges(t *testing.T) {
	t.Parallel()
	v := ykslot.Version{Major: 5, Minor: 4, Patch: 3}
	held := func(c ...token.Credential) Have {
		return Have{Serial: serial, Version: v, InUse: [2]bool{true, true}, Live: c}
	}
	ours := func(slot token.Slot, ext ykslot.ExtFlag, code bool) token.Credential {
		return token.Credential{ID: 7, Kind: token.YubicoOTP, Slot: slot, Settings: token.Settings{ExtFlags: uint8(ext), TicketFlags: 0x20, HasAccessCode: code}}
	}
	const base = ykslot.SerialAPIVisible | ykslot.FastTrig | ykslot.AllowUpdate
	led := func(u *UpdateSpec) { u.Set.Ext = ykslot.LEDInv }
	old := held(ours(2, base, true))
	old.Version = ykslot.Version{Major: 4, Minor: 3, Patch: 4}
	ancient := held(ours(2, base, false))
	ancient.Version = ykslot.Version{Major: 2, Minor: 2}
	empty := held()
	empty.InUse[1] = false
	for name, tc := range map[string]struct {
		build func(Have) (token.SlotChange, error)
		have  Have
		want  error
	}{
		"no record":           {update(led), held(), ErrNoRecord},
		"imported":            {update(led), held(token.Credential{Slot: 2, Kind: token.YubicoOTP}), ErrNoRecord},
		"empty":               {update(led), empty, ErrSlotEmpty},
		"empty to erase":      {erase, empty, ErrSlotEmpty},
		"not updatable":       {update(led), held(ours(2, ykslot.SerialAPIVisible, false)), ErrNotUpdatable},
		"nothing new":         {update(func(u *UpdateSpec) { u.Set.Ext = ykslot.AllowUpdate }), held(ours(2, base, false)), ErrSame},
		"hidden":              {update(func(u *UpdateSpec) { u.Clear.Ext = ykslot.SerialAPIVisible }), held(ours(2, base, false)), ErrHidden},
		"mode":                {update(func(u *UpdateSpec) { u.Set.Config = ykslot.SendRef }), held(ours(2, base, false)), ErrBadSpec},
		"code of 5":           {update(func(u *UpdateSpec) { u.Code, u.NewCode = CodeSet, secret.Copy(code1[:5]) }), held(ours(2, base, false)), ErrBadSpec},
		"no code to remove":   {update(func(u *UpdateSpec) { u.Code = CodeRemoved }), held(ours(2, base, false)), ErrNoCode},
		"4.3.4 keeps the old": {update(func(u *UpdateSpec) { u.Code, u.NewCode = CodeSet, secret.Copy(code2) }), old, errUnsupported},
		"2.2":                 {update(led), ancient, errUnsupported},
		"foreign to erase":    {erase, held(), ErrOccupied},
		"no reason": {func(h Have) (token.SlotChange, error) {
			return BuildErase(EraseSpec{Slot: 2, Overwrite: Foreign}, h)
		}, held(), ErrNoReason},
		"swap with a code":    {BuildSwap, held(ours(2, base, true)), ErrCodeGuards},
		"swap not updatable":  {BuildSwap, held(ours(1, ykslot.SerialAPIVisible, false)), ErrNotUpdatable},
		"swap of 2.2":         {BuildSwap, ancient, errUnsupported},
		"swap of two empties": {BuildSwap, Have{Serial: serial, Version: v}, ErrSlotEmpty},
		"no serial":           {BuildSwap, Have{Version: v, InUse: [2]bool{true, true}}, ErrNoSerial},
	} {
		_, err := tc.build(tc.have)
		var refused *RefusedError
		var version *ykslot.UnsupportedError
		if !errors.As(err, &refused) || tc.want == errUnsupported && !errors.As(err, &version) || tc.want != errUnsupported && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errUnsupported = errors.New("not on this firmware")

// A slot of which nothing is known is updated with all flags named and its code given, and its code is kept.
func TestUpdateForeign(t *testing.T) {
	t.Parallel()
	b := prepared(t, want(nil))
	code := b.book.live[2].Secrets.AccessCode
	delete(b.book.live, 2)
	f := ykslot.TypingFlags(ykslot.Version{Major: 5, Minor: 4, Patch: 3})
	f.Ticket |= ykslot.TabFirst
	err := b.change(update(func(u *UpdateSpec) { u.Set, u.Complete, u.Current = f, true, code }), code)
	if s := b.key.Slot(2); err != nil || s.Tkt != byte(f.Ticket) || !b.key.HoldsAccessCode(2, [6]byte(code.Reveal())) {
		t.Errorf("%v, %02x", err, s.Tkt)
	}
}
