package provision_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
	"github.com/tokendesk/tokendesk/validate/store/storetest"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// The sweeps of runner_test.go over the real store: what Runner needs of a Ledger, sqlite keeps.

const (
	serial = 7654321
	slot   = 2
)

var (
	errDied  = errors.New("the process died")
	errStore = errors.New("the store failed")
)

// fault is one thing that goes wrong in a run; numbers count from 1.
type fault struct {
	key        vkey.Faults
	dieReport  int // the process dies before this report
	dieCall    int // the process dies after the effect of this call to the store
	failCall   int // this call to the store fails without effect
	powerCycle bool
}

// station is a virtual key and a store in a directory.
type station struct {
	t    *testing.T
	dir  string
	keys sqlstore.Keys
	key  *vkey.Key
	fault
	reports, calls int
	noTouch        bool // nobody touches the key when asked
}

func newStation(t *testing.T) *station {
	t.Helper()
	s := &station{t: t, dir: t.TempDir(), key: vkey.New(vkey.YubiKey543, vkey.Options{Serial: serial})}
	var err error
	if s.keys.Sealing, err = seal.CreateFile(filepath.Join(s.dir, "seal.key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if s.keys.Signing, err = seal.CreateSigningFile(filepath.Join(s.dir, "sign.key"), rand.Reader); err != nil {
		t.Fatal(err)
	}
	st, err := sqlstore.Create(t.Context(), s.dir, s.keys, storeOptions())
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

func storeOptions() sqlstore.Options {
	return sqlstore.Options{Now: time.Now, Rand: rand.Reader, Actor: "tester"}
}

// process opens store and key as one process does, and runs f. A death inside f is errDied.
func (s *station) process(random io.Reader, f func(*sqlstore.Store, *provision.Runner, provision.Key) error) (err error) {
	s.t.Helper()
	st, err := sqlstore.Open(s.t.Context(), s.dir, s.keys, storeOptions())
	if err != nil {
		return err
	}
	defer st.Close()
	conn, err := s.key.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	defer func() {
		if r := recover(); r == any(errDied) {
			err = errDied
		} else if r != nil {
			panic(r)
		}
	}()
	wire := frail{conn, s}
	session, err := ykslot.Open(s.t.Context(), wire, func(ctx context.Context, _ time.Duration) error { return ctx.Err() })
	if err != nil {
		return err
	}
	runner := &provision.Runner{Ledger: storetest.Faulty{Ledger: st, Call: s.call}, Rand: random, Now: time.Now, TouchWait: time.Minute}
	if s.noTouch {
		runner.TouchWait = 20 * time.Millisecond
	}
	runner.Progress = func(step provision.Step) {
		if step == provision.StepTouch && !s.noTouch {
			s.key.Touch(slot)
		}
	}
	return f(st, runner, provision.Key{Session: session, Input: wire})
}

// provision writes the slot.
func (s *station) provision() error {
	return s.process(rand.Reader, func(st *sqlstore.Store, r *provision.Runner, k provision.Key) error {
		now := k.Status()
		have := provision.Have{Serial: serial, Version: now.Version, InUse: [2]bool{now.Configured(1), now.Configured(2)}}
		var err error
		if have.Token, have.Live, err = st.Slots(s.t.Context(), serial); err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
		plan, err := provision.BuildPlan(provision.Spec{
			Slot: slot, PublicID: provision.FromSerial, AccessCode: provision.RandomCode, Verify: token.ByTouch,
		}, have)
		if err != nil {
			return err
		}
		_, err = r.Run(s.t.Context(), k, plan)
		return err
	})
}

// resume settles what is open; it has nothing to draw from.
func (s *station) resume() error {
	return s.process(iotest.ErrReader(errors.New("resume draws")), func(st *sqlstore.Store, r *provision.Runner, k provision.Key) error {
		open, err := st.Open(s.t.Context())
		for _, e := range open {
			if err == nil {
				_, err = r.Resume(s.t.Context(), k, e)
			}
		}
		return err
	})
}

// agree fails unless nothing is open and the store's live credential is what the slot holds, and is accepted: its next OTP
// is newer than the stored counters.
func (s *station) agree() {
	s.t.Helper()
	err := s.process(rand.Reader, func(st *sqlstore.Store, _ *provision.Runner, k provision.Key) error {
		if open, err := st.Open(s.t.Context()); err != nil || len(open) != 0 {
			return fmt.Errorf("%d entries are open, %w", len(open), err)
		}
		_, live, err := st.Slots(s.t.Context(), serial)
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
		held := k.Status().Configured(slot)
		if held != (len(live) == 1) {
			return fmt.Errorf("the slot is in use: %v, the store has %d live credentials", held, len(live))
		}
		if !held {
			return nil
		}
		c := live[0]
		if !s.key.HoldsAccessCode(slot, [6]byte(c.Secrets.AccessCode.Reveal())) {
			return errors.New("the slot has another access code")
		}
		s.key.Touch(slot)
		typed, err := k.Press(s.t.Context(), 0)
		if err != nil {
			return err
		}
		_, block, err := yubiotp.Split(typed)
		if err != nil {
			return err
		}
		cipher, err := yubiotp.NewCipher(c.Secrets.Key, c.Secrets.PrivateID)
		if err != nil {
			return err
		}
		stored := yubiotp.Token{UseCounter: uint16(c.Counters.Use), SessionCounter: uint8(c.Counters.Session)}
		if otp, verdict := cipher.Open(block); verdict != yubiotp.OK || !stored.Before(otp) || !c.Enabled {
			return fmt.Errorf("the slot's OTP: %v, %v after %v, enabled %v", verdict, otp, stored, c.Enabled)
		}
		return nil
	})
	if err != nil {
		s.t.Error(err)
	}
}

// frail is the way to the key, on which the process may die.
type frail struct {
	*vkey.Conn
	s *station
}

func (f frail) step() {
	if f.s.reports++; f.s.reports == f.s.dieReport {
		panic(errDied)
	}
}

func (f frail) GetFeature(ctx context.Context) (ykslot.Report, error) {
	f.step()
	return f.Conn.GetFeature(ctx)
}

func (f frail) SetFeature(ctx context.Context, r ykslot.Report) error {
	f.step()
	return f.Conn.SetFeature(ctx, r)
}

// call is a change of the store, which may fail or be the last that the process did.
func (s *station) call(do func() error) error {
	s.calls++
	if s.calls == s.failCall {
		return errStore
	}
	err := do()
	if s.calls == s.dieCall {
		panic(errDied)
	}
	return err
}

// TestStoreKeepsThePromises lets one thing go wrong at every point of a run, on an empty slot and over a slot of ours. Stalled
// and lost reports, which to the store are like pulled keys, are left to TestDeviceFaultSweep.
func TestStoreKeepsThePromises(t *testing.T) {
	t.Parallel()
	const reports, calls = 26, 6 // one more than a run has
	for name, sweep := range map[string]struct {
		last int
		at   func(n int) fault
	}{
		"unplug":           {reports, func(n int) fault { return fault{key: vkey.Faults{UnplugAfter: n}, powerCycle: true} }},
		"stale status":     {12, func(n int) fault { return fault{key: vkey.Faults{StaleStatus: n}} }},
		"die at a report":  {reports, func(n int) fault { return fault{dieReport: n} }},
		"die after a call": {calls, func(n int) fault { return fault{dieCall: n} }},
		"fail a call":      {calls, func(n int) fault { return fault{failCall: n} }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n := 1; n <= 2*sweep.last; n++ {
				at, again := (n+1)/2, n%2 == 0
				t.Run(fmt.Sprintf("%d again %v", at, again), func(t *testing.T) {
					s := newStation(t)
					if again {
						if err := s.provision(); err != nil {
							t.Fatal(err)
						}
					}
					s.suffer(sweep.at(at))
					if err := s.resume(); err != nil {
						t.Errorf("resume: %v", err)
					}
					s.agree()
				})
			}
		})
	}
}

// TestPressedWhileUncertain: the holder tries the key at a server before anybody resumed. The OTP is refused, and it proves
// what the slot holds: writing it again would leave the key behind the counters that the server keeps.
func TestPressedWhileUncertain(t *testing.T) {
	t.Parallel()
	s := newStation(t)
	s.suffer(fault{dieCall: 4, powerCycle: true})
	for range 3 {
		s.key.PowerCycle()
		s.key.Touch(slot)
		st, err := sqlstore.Open(t.Context(), s.dir, s.keys, storeOptions())
		if err != nil {
			t.Fatal(err)
		}
		v := validate.New(st, time.Now)
		if r, err := v.Verify(t.Context(), validate.Request{OTP: strings.TrimSpace(s.key.Typed())}); err != nil || r.Outcome == validate.Accepted {
			t.Errorf("%+v, %v", r, err)
		}
		if err := st.Close(); err != nil {
			t.Error(err)
		}
	}
	s.noTouch = true
	if err := s.resume(); err != nil {
		t.Error(err)
	}
	s.agree()
}

// suffer runs a write that meets the fault.
func (s *station) suffer(f fault) {
	s.fault, s.reports, s.calls = f, 0, 0
	s.key.SetFaults(f.key)
	err := s.provision()
	s.t.Logf("run: %v", err)
	s.fault = fault{}
	s.key.SetFaults(vkey.Faults{})
	if f.powerCycle {
		s.key.PowerCycle()
	}
}
