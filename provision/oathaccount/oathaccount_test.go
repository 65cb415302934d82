package oathaccount_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	applet "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/ykslot"
)

func TestPut(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	for _, s := range []oathaccount.Spec{totp("ada"), hotp("bob"), touched("eve"), given(totp("old"), "12345678901234567890")} {
		res, err := b.put(s)
		if err != nil || res.Outcome != provision.Programmed || res.Proof == nil {
			t.Fatalf("%s: %+v, %v", s.Account.ID(), res, err)
		}
	}
	b.agree("put")
	if b.touches != 1 {
		t.Errorf("%d touches were asked for, want that of one account", b.touches)
	}
	if _, err := b.put(totp("ada")); err != nil { // ours: replaced without a word
		t.Fatal(err)
	}
	b.agree("replaced")
	if n := b.secretsDrawn("Example:ada"); n != 2 {
		t.Errorf("%d secrets, want the revoked one and the live one", n)
	}
}

// situations are what is interrupted: first prepares, again meets the fault.
func situations() map[string]struct{ first, again []oathaccount.Spec } {
	s := func(list ...oathaccount.Spec) []oathaccount.Spec { return list }
	return map[string]struct{ first, again []oathaccount.Spec }{
		"fresh":             {nil, s(totp("ada"))},
		"hotp":              {s(totp("bob")), s(hotp("ada"))},
		"touch":             {nil, s(touched("ada"))},
		"replace":           {s(totp("ada")), s(totp("ada"))},
		"hotp over hotp":    {s(hotp("ada")), s(hotp("ada"))},
		"totp over hotp":    {s(hotp("ada")), s(totp("ada"))},
		"touch over touch":  {s(touched("ada")), s(touched("ada"))},
		"a secret of files": {nil, s(given(hotp("ada"), "12345678901234567890"))},
	}
}

// TestFaultSweep lets one thing go wrong at every point of a run, resumes, and holds key and store against each other.
func TestFaultSweep(t *testing.T) {
	t.Parallel()
	const commands, calls = 10, 6 // more than a run has
	for name, sweep := range map[string]struct {
		last int
		at   func(n int) fault
	}{
		"die before a command": {commands, func(n int) fault { return fault{dieCard: n} }},
		"die after a call":     {calls, func(n int) fault { return fault{dieCall: n} }},
		"fail a call":          {calls, func(n int) fault { return fault{failCall: n} }},
		"pulled out before":    {commands - 3, func(n int) fault { return fault{card: applet.Faults{LeaveBefore: n}} }},
		"the answer is lost":   {commands - 3, func(n int) fault { return fault{card: applet.Faults{LeaveAfter: n}} }},
		"6581 before":          {commands - 3, func(n int) fault { return fault{card: applet.Faults{FailBefore: n}} }},
		"6581 after":           {commands - 3, func(n int) fault { return fault{card: applet.Faults{FailAfter: n}} }},
	} {
		for situation, s := range situations() {
			if rare := situation != "hotp" && situation != "replace"; rare && name != "die before a command" && name != "the answer is lost" {
				continue // much the same
			}
			t.Run(name+"/"+situation, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, vkey.YubiKey543)
				for n := 1; n <= sweep.last; n++ {
					how := fmt.Sprint(n)
					for _, spec := range s.first {
						spec.Seed = spec.Seed.Clone()
						if _, err := b.put(spec); err != nil {
							t.Fatal(err)
						}
					}
					before := b.secretsDrawn("Example:ada")
					b.suffer(sweep.at(n), func() error { _, err := b.put(s.again[0]); return err })
					if err := b.resume(); err != nil {
						t.Errorf("%s: resume: %v", how, err)
					}
					b.agree(how)
					if after := b.secretsDrawn("Example:ada"); after > before+1 {
						t.Errorf("%s: %d secrets were drawn", how, after-before)
					}
					b.clean()
				}
			})
		}
	}
}

// clean takes all accounts off the key, and says so.
func (b *bench) clean() {
	b.t.Helper()
	if err := b.change(token.SlotChange{Work: token.ResetOATH, Serial: serial}); err != nil && !errors.Is(err, token.ErrNotFound) {
		b.t.Fatal(err)
	}
}

// change carries out a work on accounts.
func (b *bench) change(c token.SlotChange) error {
	return b.process(nil, func(st *sqlstore.Store, r *oathaccount.Runner, s *oathapplet.Session) error {
		_, live, _ := st.Slots(b.t.Context(), serial)
		for i := range live {
			if live[i].Settings.Account == c.Account && c.Account != "" {
				c.Credential = &live[i]
			}
		}
		return r.Change(b.t.Context(), st, s, c)
	})
}

// TestChangeSweep is the same for what is done to accounts beside putting them.
func TestChangeSweep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]token.SlotChange{
		"remove": {Work: token.RemoveAccount, Serial: serial, Account: "Example:ada"},
		"rename": {Work: token.RenameAccount, Serial: serial, Account: "Example:ada", After: token.Settings{Account: "Other:ada", Issuer: "Other"}},
		"reset":  {Work: token.ResetOATH, Serial: serial},
	} {
		for kind, at := range map[string]func(n int) fault{
			"die before a command": func(n int) fault { return fault{dieCard: n} },
			"pulled out before":    func(n int) fault { return fault{card: applet.Faults{LeaveBefore: n}} },
			"the answer is lost":   func(n int) fault { return fault{card: applet.Faults{LeaveAfter: n}} },
			"6581 after":           func(n int) fault { return fault{card: applet.Faults{FailAfter: n}} },
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				b := newBench(t, vkey.YubiKey543)
				for n := 1; n <= 6; n++ {
					if _, err := b.put(totp("ada")); err != nil {
						t.Fatal(err)
					}
					if _, err := b.put(hotp("bob")); err != nil {
						t.Fatal(err)
					}
					b.suffer(at(n), func() error { return b.change(c) })
					if err := b.resume(); err != nil {
						t.Errorf("%d: resume: %v", n, err)
					}
					b.agree(fmt.Sprint(n))
					b.clean()
				}
			})
		}
	}
}

// foreign puts an account that no store knows.
func (b *bench) foreign(s oathaccount.Spec) {
	b.t.Helper()
	err := b.process(nil, func(_ *sqlstore.Store, _ *oathaccount.Runner, card *oathapplet.Session) error {
		return card.Replace(b.t.Context(), s.Account, s.Seed, s.Moving)
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestForeign: what this store did not put is not overwritten without saying so and why, also where the store has a credential of that
// name.
func TestForeign(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	theirs := given(totp("ada"), "a secret of somebody")
	b.foreign(theirs)
	if _, err := b.put(totp("ada")); !errors.Is(err, oathaccount.ErrNotOurs) {
		t.Fatalf("overwritten: %v", err)
	}
	want := totp("ada")
	want.Overwrite = true
	if _, err := b.put(want); !errors.Is(err, provision.ErrNoReason) {
		t.Fatalf("without a reason: %v", err)
	}
	want.Reason = "handed in"
	if _, err := b.put(want); err != nil {
		t.Fatal(err)
	}
	b.agree("overwritten")
	b.foreign(theirs) // another program overwrites ours
	if _, err := b.put(totp("ada")); !errors.Is(err, oathaccount.ErrNotOurs) {
		t.Errorf("what another program put in its place was overwritten: %v", err)
	}
	if !b.oath.Holds("Example:ada", theirs.Seed.Reveal()) {
		t.Error("it is gone")
	}
}

// TestForeignMeanwhile: between an interruption and the resume another program puts an account of that name. It stays, and the entry is
// given up.
func TestForeignMeanwhile(t *testing.T) {
	t.Parallel()
	for name, theirs := range map[string]oathaccount.Spec{
		"totp": given(totp("ada"), "a secret of somebody"), "hotp": given(hotp("ada"), "a secret of somebody"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, vkey.YubiKey543)
			b.suffer(fault{dieCall: 3}, func() error { _, err := b.put(totp("ada")); return err }) // marked, not put
			b.foreign(theirs)
			if err := b.resume(); !errors.Is(err, oathaccount.ErrNotOurs) {
				t.Errorf("resume: %v", err)
			}
			if !b.oath.Holds("Example:ada", theirs.Seed.Reveal()) {
				t.Error("it was overwritten")
			}
			if n := b.oath.Accounts()[0].NextFactor; name == "hotp" && n != uint64(theirs.Moving) {
				t.Errorf("its counter was used up to %d", n)
			}
			b.agree("given up", "Example:ada")
		})
	}
}

// TestElsewhere: a secret that another service checks is durable until the key has it, and then forgotten.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]oathaccount.Spec{
		"totp": given(totp("ada"), "a secret of a service"), "steam": given(oathaccount.Spec{Verify: token.ByHost, Account: oathapplet.Account{Issuer: "Steam", Name: "ada", Kind: token.TOTP, Hash: oath.SHA1, Digits: 6}}, "a secret of a service"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.Elsewhere = true
			for die := 1; die <= 6; die++ {
				b := newBench(t, vkey.YubiKey543)
				b.suffer(fault{dieCall: die}, func() error { _, err := b.put(s); return err })
				if err := b.resume(); err != nil {
					t.Errorf("%d: %v", die, err)
				}
				var on []string
				if die > 2 {
					on = []string{s.Account.ID()}
				}
				b.agree(fmt.Sprint(die), on...)
				if n := b.secretsDrawn(s.Account.ID()); n != 0 {
					t.Errorf("%d: the store still knows %d secrets", die, n)
				}
			}
		})
	}
	b := newBench(t, vkey.YubiKey543)
	steam := given(totp("ada"), "12345678901234567890")
	steam.Account.Issuer = "Steam"
	if _, err := b.put(steam); !errors.Is(err, oathaccount.ErrSteam) {
		t.Errorf("registered: %v", err)
	}
}

// TestFull: a key without room takes nothing, and the store is as before.
func TestFull(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	var names []string
	for n := range 32 {
		s := given(totp(fmt.Sprint("user", n)), "a secret of somebody")
		b.foreign(s)
		names = append(names, s.Account.ID())
	}
	if _, err := b.put(totp("ada")); !errors.Is(err, oathapplet.ErrFull) {
		t.Fatalf("%v", err)
	}
	b.agree("full", names...)
	if n := b.secretsDrawn("Example:ada"); n != 0 {
		t.Errorf("%d secrets are kept", n)
	}
}

// TestNoTouch: nobody touches an account that asks for it. Its codes are refused until resume, which asks again, settles it.
func TestNoTouch(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.key.OnTouchWait(func() bool { return false })
	_, err := b.put(touched("ada"))
	var open *provision.UncertainError
	if !errors.As(err, &open) || !errors.Is(err, provision.ErrNoTouch) {
		t.Fatalf("%v", err)
	}
	if err := b.resume(); !errors.Is(err, provision.ErrNoTouch) {
		t.Errorf("resume without a touch: %v", err)
	}
	b.key.OnTouchWait(func() bool { return true })
	if err := b.resume(); err != nil {
		t.Error(err)
	}
	b.agree("touched")
	if ran := b.oath.Ran()[0x01]; ran != 1 {
		t.Errorf("%d PUTs, want 1", ran)
	}
}

// TestNoProof: an account whose first good code is the proof validates, and resume of it asks for the code.
func TestNoProof(t *testing.T) {
	t.Parallel()
	for die := 0; die <= 5; die++ {
		b := newBench(t, vkey.YubiKey543)
		s := hotp("ada")
		s.Verify = token.NoProof
		b.suffer(fault{dieCall: die}, func() error { _, err := b.put(s); return err })
		if err := b.resume(); err != nil {
			t.Errorf("%d: %v", die, err)
		}
		b.agree(fmt.Sprint(die))
		if ran := b.oath.Ran()[0xa2]; die == 0 && ran != 0 {
			t.Errorf("%d codes were made", ran)
		}
	}
}

// TestPrefix: firmware that takes the beginning of a name for the name overwrites nothing by it.
func TestPrefix(t *testing.T) {
	t.Parallel()
	i := slices.IndexFunc(vkey.Profiles(), func(p vkey.Profile) bool {
		return p.Version.Major == 4 && (p.Version.Minor < 3 || p.Version.Minor == 3 && p.Version.Build < 5)
	})
	p := vkey.YubiKey435
	if i >= 0 {
		p = vkey.Profiles()[i]
	} else {
		p.Version.Build = 4
	}
	b := newBench(t, p)
	theirs := given(totp("adalovelace"), "a secret of somebody")
	b.foreign(theirs)
	want := totp("ada")
	want.Overwrite, want.Reason = true, "no reason is good enough"
	var exists *oathapplet.ExistsError
	if _, err := b.put(want); !errors.As(err, &exists) || !exists.Prefix {
		t.Errorf("%v", err)
	}
	b.agree("refused", "Example:adalovelace")
}

// TestSeedOnce: a secret that is or was here under another name is not taken a second time; on the same name it is put again.
func TestSeedOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	one := given(totp("ada"), "12345678901234567890")
	if _, err := b.put(one); err != nil {
		t.Fatal(err)
	}
	if _, err := b.put(one); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := b.put(given(totp("bob"), "12345678901234567890")); !errors.Is(err, token.ErrDuplicate) {
		t.Errorf("under another name: %v", err)
	}
	again := given(hotp("eve"), "a secret of some length")
	for range 3 {
		if _, err := b.put(again); err != nil {
			t.Fatal(err)
		}
	}
	b.agree("put again and again")
	if n := b.oath.Accounts()[1].NextFactor; n != uint64(again.Moving)+3 {
		t.Errorf("the third of the same secret goes on at %d", n)
	}
}

func TestBuildPlanRefuses(t *testing.T) {
	t.Parallel()
	ada, bob := &token.Person{ID: 1, Account: "ada"}, &token.Person{ID: 2, Account: "bob"}
	v := ykslot.Version{Major: 5, Minor: 4, Patch: 3}
	for name, tc := range map[string]struct {
		change func(*oathaccount.Spec, *oathaccount.Have)
		want   error
	}{
		"no serial":      {func(_ *oathaccount.Spec, h *oathaccount.Have) { h.Serial = 0 }, provision.ErrNoSerial},
		"blocked":        {func(_ *oathaccount.Spec, h *oathaccount.Have) { h.Token.State = token.Lost }, provision.ErrBlocked},
		"held":           {func(s *oathaccount.Spec, h *oathaccount.Have) { s.Holder, h.Token.Holder = ada, bob }, provision.ErrHeld},
		"by touch":       {func(s *oathaccount.Spec, _ *oathaccount.Have) { s.Verify = token.ByTouch }, provision.ErrBadSpec},
		"nine digits":    {func(s *oathaccount.Spec, _ *oathaccount.Have) { s.Account.Digits = 9 }, provision.ErrBadSpec},
		"elsewhere, ada": {func(s *oathaccount.Spec, _ *oathaccount.Have) { s.Elsewhere, s.Holder = true, ada }, provision.ErrBadSpec},
	} {
		spec, have := totp("ada"), oathaccount.Have{Serial: serial, Firmware: v, Applet: v, Class: provision.Empty}
		tc.change(&spec, &have)
		var refused *provision.RefusedError
		if _, err := oathaccount.BuildPlan(spec, have); !errors.Is(err, tc.want) || !errors.As(err, &refused) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	spec := touched("ada")
	var old *ykslot.UnsupportedError
	if _, err := oathaccount.BuildPlan(spec, oathaccount.Have{Serial: serial, Applet: ykslot.Version{Major: 4, Minor: 2, Patch: 5}, Class: provision.Empty}); !errors.As(err, &old) {
		t.Errorf("old firmware: %v", err)
	}
	plan, err := oathaccount.BuildPlan(hotp("ada"), oathaccount.Have{Serial: serial, Firmware: v, Applet: v, Token: token.Token{Holder: bob}, Class: provision.Empty})
	if err != nil || plan.Reservation.Holder != bob.ID || plan.Reservation.Settings.FirstMoving != 4_000_000_000 || plan.Reservation.Settings.Period != 0 || !plan.Fresh() {
		t.Errorf("%+v, %v", plan.Reservation, err)
	}
	if a := oathaccount.AccountOf(token.Credential{Kind: token.TOTP, Settings: oathaccount.SettingsOf(touched("x").Account, 0)}); a != touched("x").Account || a.Period != time.Minute {
		t.Errorf("%+v", a)
	}
}
