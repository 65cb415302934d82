package oathaccount_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"path/filepath"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	applet "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/oathaccount"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot"
)

const serial = 7654321

var (
	errDied  = errors.New("the process died")
	errStore = errors.New("the store failed")
)

// fault is one thing that goes wrong in a run; numbers count from 1.
type fault struct {
	card     applet.Faults
	dieCard  int // the process dies before this command
	dieCall  int // the process dies after the effect of this call to the store
	failCall int // this call to the store fails without effect

}

// bench is a virtual key and a store.
type bench struct {
	t    *testing.T
	st   *sqlstore.Store // stays open: what it did is durable when it returns
	key  *vkey.Key
	oath *applet.Applet
	at   time.Time
	fault
	sent, calls int
	touches     int // that were asked for
}

func newBench(t *testing.T, p vkey.Profile) *bench {
	t.Helper()
	b := &bench{t: t, key: vkey.New(p, vkey.Options{Serial: serial}), at: time.Unix(1_800_000_000, 0)}
	b.oath = applet.Install(b.key, applet.Options{})
	b.key.OnTouchWait(func() bool { b.touches++; return true })
	dir := t.TempDir()
	var keys sqlstore.Keys
	var err error
	if keys.Sealing, err = seal.CreateFile(filepath.Join(dir, "seal.key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if keys.Signing, err = seal.CreateSigningFile(filepath.Join(dir, "sign.key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if b.st, err = sqlstore.Create(t.Context(), dir, keys, b.options()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.st.Close() })
	return b
}

func (b *bench) options() sqlstore.Options {
	return sqlstore.Options{Now: func() time.Time { return b.at }, Rand: rand.Reader, Actor: "tester"}
}

// process opens the card as one process does, and runs f. A death inside f is errDied.
func (b *bench) process(random io.Reader, f func(*sqlstore.Store, *oathaccount.Runner, *oathapplet.Session) error) (err error) {
	b.t.Helper()
	st := b.st
	card := frail{b.key.Card(), b}
	defer card.Reset()
	defer func() {
		if r := recover(); r == any(errDied) {
			err = errDied
		} else if r != nil {
			panic(r)
		}
	}()
	s, err := oathapplet.Open(b.t.Context(), card, rand.Reader)
	if err != nil {
		return err
	}
	return f(st, &oathaccount.Runner{Ledger: storetest.Faulty{Ledger: st, Call: b.call}, Rand: random, Now: func() time.Time { return b.at }}, s)
}

// put plans and puts an account.
func (b *bench) put(want oathaccount.Spec) (res provision.Result, err error) {
	err = b.process(rand.Reader, func(st *sqlstore.Store, r *oathaccount.Runner, s *oathapplet.Session) error {
		have := oathaccount.Have{Serial: serial, Firmware: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, Applet: s.Info().Version}
		tok, live, err := st.Slots(b.t.Context(), serial)
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
		have.Token = tok
		for i := range live {
			if live[i].Settings.Account == want.Account.ID() {
				have.Former = &live[i]
			}
		}
		if have.Class, err = oathaccount.Classify(b.t.Context(), s, want.Account, have.Former, b.at); err != nil {
			return err
		}
		plan, err := oathaccount.BuildPlan(want, have)
		if err != nil {
			return err
		}
		res, err = r.Run(b.t.Context(), s, plan)
		return err
	})
	return res, err
}

// resume settles what is open; it has nothing to draw from.
func (b *bench) resume() error {
	return b.process(iotest.ErrReader(errors.New("resume draws")), func(st *sqlstore.Store, r *oathaccount.Runner, s *oathapplet.Session) error {
		open, err := st.Open(b.t.Context())
		for _, e := range open {
			if err == nil {
				_, err = r.Resume(b.t.Context(), s, e)
			}
		}
		changes, openErr := st.OpenChanges(b.t.Context())
		for _, c := range changes {
			_, live, _ := st.Slots(b.t.Context(), serial)
			var names []string
			for _, l := range live {
				names = append(names, l.Settings.Account)
			}
			if err == nil {
				_, err = r.ResumeChange(b.t.Context(), st, s, c, names, s.Info().Locked)
			}
		}
		return errors.Join(err, openErr)
	})
}

// agree fails unless nothing is open, and the key has just the accounts that the store has live, with its secrets, where the next code
// of each is one that the store accepts. others are accounts of which the store knows nothing.
func (b *bench) agree(how string, others ...string) {
	b.t.Helper()
	st := b.st
	if open, err := st.Open(b.t.Context()); err != nil || len(open) != 0 {
		b.t.Errorf("%s: %d entries are open, %v", how, len(open), err)
	}
	if open, err := st.OpenChanges(b.t.Context()); err != nil || len(open) != 0 {
		b.t.Errorf("%s: %d changes are open, %v", how, len(open), err)
	}
	_, live, err := st.Slots(b.t.Context(), serial)
	if err != nil && !errors.Is(err, token.ErrNotFound) {
		b.t.Fatal(err)
	}
	on := map[string]applet.Account{}
	for _, a := range b.oath.Accounts() {
		on[a.Name] = a
	}
	for _, c := range live {
		id := c.Settings.Account
		a, there := on[id]
		delete(on, id)
		switch {
		case !there:
			b.t.Errorf("%s: the store has %q, and the key has not", how, id)
		case !b.oath.Holds(id, c.Secrets.Key.Reveal()):
			b.t.Errorf("%s: %q has another secret on the key", how, id)
		case !c.Enabled:
			b.t.Errorf("%s: %q does not validate", how, id)
		case a.HOTP && int64(a.NextFactor) <= c.Counters.Moving || a.HOTP && int64(a.NextFactor) > c.Counters.Moving+3:
			b.t.Errorf("%s: %q: the key is at %d, the store at %d", how, id, a.NextFactor, c.Counters.Moving)
		case !a.HOTP && c.Counters.Moving >= oath.Step(b.at, c.Settings.Period):
			b.t.Errorf("%s: %q: the code of now is used up", how, id)
		case a.Touch != c.Settings.Touch || a.Digits != c.Settings.Digits:
			b.t.Errorf("%s: %q: %+v, the store %+v", how, id, a, c.Settings)
		}
	}
	for _, id := range others {
		if _, there := on[id]; !there {
			b.t.Errorf("%s: %q is gone", how, id)
		}
		delete(on, id)
	}
	if len(on) > 0 {
		b.t.Errorf("%s: the key has %v, of which the store knows nothing", how, on)
	}
}

// frail is the way to the card, on which the process may die.
type frail struct {
	*vkey.Card
	b *bench
}

func (f frail) Transmit(_ context.Context, command []byte) ([]byte, error) {
	if f.b.sent++; f.b.sent == f.b.dieCard {
		panic(errDied)
	}
	return f.Card.Transmit(command)
}

// call is a change of the store, which may fail or be the last that the process did.
func (b *bench) call(do func() error) error {
	b.calls++
	if b.calls == b.failCall {
		return errStore
	}
	err := do()
	if b.calls == b.dieCall {
		panic(errDied)
	}
	return err
}

// suffer runs f under a fault.
func (b *bench) suffer(f fault, run func() error) {
	b.fault, b.sent, b.calls = f, 0, 0
	b.oath.SetFaults(f.card)
	err := run()
	b.t.Logf("run: %v", err)
	b.fault = fault{}
	b.oath.SetFaults(applet.Faults{})
	b.key.Plug()
}

// The accounts of tests.
func totp(name string) oathaccount.Spec {
	return oathaccount.Spec{Verify: token.ByHost, Account: oathapplet.Account{Issuer: "Example", Name: name, Kind: token.TOTP, Hash: oath.SHA1, Digits: 6, Period: 30 * time.Second}}
}

func hotp(name string) oathaccount.Spec {
	s := totp(name)
	s.Account.Kind, s.Account.Period, s.Account.Digits, s.Moving = token.HOTP, 0, 8, 4_000_000_000
	return s
}

func touched(name string) oathaccount.Spec {
	s := totp(name)
	s.Account.Touch, s.Account.Hash, s.Account.Period = true, oath.SHA512, time.Minute
	return s
}

func given(s oathaccount.Spec, text string) oathaccount.Spec {
	s.Seed = secret.Copy([]byte(text))
	return s
}

// secretsDrawn is how many credentials of a name the store ever sealed a secret for and did not forget.
func (b *bench) secretsDrawn(name string) int {
	b.t.Helper()
	st := b.st
	tok, _, err := st.Slots(b.t.Context(), serial)
	if errors.Is(err, token.ErrNotFound) {
		return 0
	}
	all, listErr := st.Credentials(b.t.Context(), tok.ID)
	if err := errors.Join(err, listErr); err != nil {
		b.t.Fatal(err)
	}
	n := 0
	for _, c := range all {
		if r, err := st.Record(b.t.Context(), c.ID); err == nil && c.Settings.Account == name {
			r.Destroy()
			n++
		}
	}
	return n
}
