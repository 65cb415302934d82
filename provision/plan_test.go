package provision

import (
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

const serial = 7654321

var v543 = ykslot.Version{Major: 5, Minor: 4, Patch: 3}

// want returns the defaults of the command line for slot 2, changed by f.
func want(f func(*Spec)) Spec {
	s := Spec{Slot: 2, PublicID: FromSerial, AccessCode: RandomCode, Verify: token.ByTouch}
	if f != nil {
		f(&s)
	}
	return s
}

// have returns a key with slot 1 as it left the factory and slot 2 empty, changed by f.
func have(f func(*Have)) Have {
	h := Have{Serial: serial, Version: v543, InUse: [2]bool{true, false}}
	if f != nil {
		f(&h)
	}
	return h
}

// ours adds a live credential of ours to a slot.
func ours(slot token.Slot, id token.PublicID, code ...byte) func(*Have) {
	return func(h *Have) {
		h.InUse[slot-1] = true
		h.Token = token.Token{ID: 1, Serial: h.Serial, State: token.Active}
		h.Live = append(h.Live, token.Credential{
			ID: token.CredentialID(slot), Slot: slot, PublicID: id, State: token.Active, Secrets: token.Secrets{AccessCode: secret.Copy(code)},
		})
	}
}

func mustID(t *testing.T, modhex string) token.PublicID {
	t.Helper()
	id, err := token.ParsePublicID(modhex)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestBuildPlan(t *testing.T) {
	t.Parallel()
	bySerial := token.SerialPublicID(serial)
	other := mustID(t, "vvdecbefugij")
	for _, tc := range []struct {
		name  string
		want  Spec
		have  Have
		class Class
		code  AccessCodeMode
		id    token.PublicID
		over  string
	}{
		{"empty slot 2", want(nil), have(nil), Empty, RandomCode, bySerial, ""},
		{"no access code", want(func(s *Spec) { s.AccessCode = NoCode }), have(nil), Empty, NoCode, bySerial, ""},
		{"keep, none known", want(func(s *Spec) { s.AccessCode = KeepCode }), have(nil), Empty, NoCode, bySerial, ""},
		{"keep, one escrowed", want(func(s *Spec) { s.AccessCode = KeepCode }), have(ours(2, bySerial, 1, 2, 3, 4, 5, 6)), Ours, KeepCode, bySerial, ""},
		{"ours again, same serial ID", want(nil), have(ours(2, bySerial)), Ours, RandomCode, bySerial, ""},
		{"random ID", want(func(s *Spec) { s.PublicID = Random }), have(ours(1, bySerial)), Empty, RandomCode, token.PublicID{}, ""},
		{"given ID", want(func(s *Spec) { s.PublicID, s.Given = Given, other }), have(nil), Empty, RandomCode, other, ""},
		{"other slot has another ID", want(nil), have(ours(1, other)), Empty, RandomCode, bySerial, ""},
		{"factory slot 1, named", want(func(s *Spec) { s.Slot, s.Overwrite, s.Reason = 1, Factory, "new contract" }), have(nil), Factory, RandomCode, bySerial, "factory"},
		{"factory slot 1, as foreign", want(func(s *Spec) { s.Slot, s.Overwrite, s.Reason = 1, Foreign, "new contract" }), have(nil), Factory, RandomCode, bySerial, "factory"},
		{"foreign slot 2", want(func(s *Spec) { s.Overwrite, s.Reason = Foreign, "from a sister site" }), have(func(h *Have) { h.InUse[1] = true }), Foreign, RandomCode, bySerial, "foreign"},
	} {
		p, err := BuildPlan(tc.want, tc.have)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		r := p.Reservation
		if p.Class != tc.class || p.NewCode != tc.code || r.PublicID != tc.id || r.Overwrite != tc.over || r.Settings.HasAccessCode != (tc.code != NoCode) {
			t.Errorf("%s: got class %s, code %s, ID %s, overwrite %q, settings %+v", tc.name, p.Class, p.NewCode, r.PublicID, r.Overwrite, r.Settings)
		}
	}
}

func TestBuildPlanRefuses(t *testing.T) {
	t.Parallel()
	bySerial := token.SerialPublicID(serial)
	anna, bert := &token.Person{ID: 1, Account: "anna"}, &token.Person{ID: 2, Account: "bert"}
	held := func(h *Have) { ours(2, bySerial)(h); h.Token.Holder = anna }
	for _, tc := range []struct {
		name string
		want Spec
		have Have
		err  error
	}{
		{"slot 3", want(func(s *Spec) { s.Slot = 3 }), have(nil), ErrBadSpec},
		{"no access code mode", want(func(s *Spec) { s.AccessCode = "" }), have(nil), ErrBadSpec},
		{"no way to verify", want(func(s *Spec) { s.Verify = "" }), have(nil), ErrBadSpec},
		{"no public ID scheme", want(func(s *Spec) { s.PublicID = "" }), have(nil), ErrBadSpec},
		{"hidden serial", want(nil), have(func(h *Have) { h.Serial = 0 }), ErrNoSerial},
		{"factory slot", want(func(s *Spec) { s.Slot = 1 }), have(nil), ErrOccupied},
		{"factory slot, no reason", want(func(s *Spec) { s.Slot, s.Overwrite = 1, Factory }), have(nil), ErrNoReason},
		{"foreign slot", want(nil), have(func(h *Have) { h.InUse[1] = true }), ErrOccupied},
		{"foreign slot called factory", want(func(s *Spec) { s.Overwrite, s.Reason = Factory, "x" }), have(func(h *Have) { h.InUse[1] = true }), ErrOccupied},
		{"slot 1 beside a foreign slot 2 is foreign", want(func(s *Spec) { s.Slot, s.Overwrite, s.Reason = 1, Factory, "x" }), have(func(h *Have) { h.InUse[1] = true }), ErrOccupied},
		{"second slot of one serial", want(nil), have(ours(1, bySerial)), ErrSerialInUse},
		{"9 bytes", want(func(s *Spec) { s.PublicID, s.Given = Given, mustID(t, "vvcccccccccccccccc") }), have(nil), ErrTooLong},
		{"factory prefix", want(func(s *Spec) { s.PublicID, s.Given = Given, mustID(t, "cccccccccccb") }), have(nil), ErrFactoryPrefix},
		{"held by another", want(func(s *Spec) { s.Holder = bert }), have(held), ErrHeld},
		{"lost", want(nil), have(func(h *Have) { ours(2, bySerial)(h); h.Token.State = token.Lost }), ErrBlocked},
		{"suspended", want(nil), have(func(h *Have) { ours(2, bySerial)(h); h.Token.State = token.Suspended }), ErrBlocked},
	} {
		_, err := BuildPlan(tc.want, tc.have)
		var refused *RefusedError
		if !errors.Is(err, tc.err) || !errors.As(err, &refused) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.err)
		}
	}
}

func TestBuildPlanHolder(t *testing.T) {
	t.Parallel()
	anna, bert := &token.Person{ID: 1, Account: "anna"}, &token.Person{ID: 2, Account: "bert"}
	held := have(func(h *Have) { ours(2, token.SerialPublicID(serial))(h); h.Token.Holder = anna })
	for _, tc := range []struct {
		name string
		want Spec
		have Have
		id   token.PersonID
	}{
		{"nobody", want(nil), have(nil), 0},
		{"named", want(func(s *Spec) { s.Holder = bert }), have(nil), 2},
		{"kept", want(nil), held, 1},
		{"the same", want(func(s *Spec) { s.Holder = anna }), held, 1},
		{"taken over", want(func(s *Spec) { s.Holder, s.Reassign = bert, true }), held, 2},
	} {
		p, err := BuildPlan(tc.want, tc.have)
		if err != nil || p.Reservation.Holder != tc.id {
			t.Errorf("%s: got holder %d, %v, want %d", tc.name, p.Reservation.Holder, err, tc.id)
		}
	}
}

func TestLongPublicIDByFlag(t *testing.T) {
	t.Parallel()
	id := mustID(t, "vvcccccccccccccccccc")
	p, err := BuildPlan(want(func(s *Spec) { s.PublicID, s.Given, s.LongPublicID = Given, id, true }), have(nil))
	if err != nil || p.Reservation.PublicID != id {
		t.Errorf("got %v, %v", p.Reservation.PublicID, err)
	}
}
