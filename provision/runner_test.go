package provision

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

func TestRunInOrder(t *testing.T) {
	t.Parallel()
	for _, p := range vkey.Profiles() {
		b := newBench(t, p)
		b.book.onSeal = func() {
			if _, sets := b.key.Transfers(); sets != b.opened {
				t.Errorf("%v: %d reports were sent before the secrets were durable", p.Version, sets-b.opened)
			}
		}
		res, err := b.run(want(nil))
		if err != nil {
			t.Fatalf("%v: %v", p.Version, err)
		}
		if steps := []Step{StepReserved, StepSealed, StepWritten, StepTouch, StepProven, StepDone}; !slices.Equal(b.steps, steps) {
			t.Errorf("%v: steps %v", p.Version, b.steps)
		}
		if res.Outcome != Programmed || res.Proof == nil || res.Proof.Use != 1 || res.Proof.Session != 0 || !res.HasCode {
			t.Errorf("%v: result %+v", p.Version, res)
		}
		if c := b.book.live[2]; c.State != token.Active || c.Counters != *res.Proof {
			t.Errorf("%v: live credential is %s with %+v", p.Version, c.State, c.Counters)
		}
		b.agree(p.Version.String())
	}
}

func TestRunWithoutProof(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(want(func(s *Spec) { s.Verify = token.NoProof })); err != nil {
		t.Fatal(err)
	}
	if c := b.book.live[2]; c.State != token.Programmed || slices.Contains(b.steps, StepTouch) {
		t.Errorf("live credential is %s after %v", c.State, b.steps)
	}
	b.agree("no proof")
}

// Each access-code mode once over a slot of ours with a code, and once over one without.
func TestRunAccessCodes(t *testing.T) {
	t.Parallel()
	for _, first := range []AccessCodeMode{RandomCode, NoCode} {
		for _, then := range []AccessCodeMode{RandomCode, NoCode, KeepCode} {
			how := string(first) + " then " + string(then)
			b := newBench(t, vkey.YubiKey543)
			for _, mode := range []AccessCodeMode{first, then} {
				if _, err := b.run(want(func(s *Spec) { s.AccessCode = mode })); err != nil {
					t.Fatalf("%s: %v", how, err)
				}
				b.agree(how)
			}
			kept := b.book.sealed[101].AccessCode.Equal(b.book.sealed[102].AccessCode) && first == RandomCode
			if kept != (first == RandomCode && then == KeepCode) {
				t.Errorf("%s: the access code stayed the same: %v", how, kept)
			}
			if b.book.sealed[101].Key.Equal(b.book.sealed[102].Key) {
				t.Errorf("%s: the same AES key twice", how)
			}
		}
	}
}

func TestRunOnLockedSlot(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(want(nil)); err != nil {
		t.Fatal(err)
	}
	b.key.LockSlot(2, [6]byte{9, 9, 9, 9, 9, 9})
	before := b.book.live[2]
	_, err := b.run(want(nil))
	var rejected *ykslot.RejectedError
	if !errors.As(err, &rejected) {
		t.Fatalf("got %v, want a rejection", err)
	}
	if len(b.book.open()) != 0 || b.book.live[2].ID != before.ID || !b.key.Holds(2, before.Secrets.Key.Reveal()) {
		t.Error("a refused write changed something")
	}
}

func TestRunTellsMispresses(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(want(func(s *Spec) { s.Slot = 1 })); err != nil {
		t.Fatal(err)
	}
	b.touch = []token.Slot{1, 2}
	if _, err := b.run(want(func(s *Spec) { s.PublicID = Random })); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(b.mispress, []Mispress{OtherKey}) {
		t.Errorf("mispresses %v", b.mispress)
	}
	b.agree("after a touch of the wrong length")
}

func TestNoTouchThenResume(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.touch = []token.Slot{0}
	_, err := b.run(want(nil))
	var uncertain *UncertainError
	if !errors.Is(err, ErrNoTouch) || !errors.As(err, &uncertain) {
		t.Fatalf("got %v", err)
	}
	b.touch = nil
	res, err := b.resume()
	if err != nil || res.Outcome != Programmed || res.Rewritten || res.Proof == nil {
		t.Fatalf("resume: %+v, %v", res, err)
	}
	b.agree("resumed by a touch")
}

// The key that comes back was touched elsewhere meanwhile: the commit takes its counters, not (1, 0).
func TestResumeTakesTheCountersSeen(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.touch = []token.Slot{0}
	if _, err := b.run(want(nil)); !errors.Is(err, ErrNoTouch) {
		t.Fatal(err)
	}
	b.key.Touch(2)
	b.key.PowerCycle()
	b.touch = nil
	res, err := b.resume()
	if err != nil || res.Proof == nil || res.Proof.Use != 2 || b.book.live[2].Counters.Use != 2 {
		t.Fatalf("resume: %+v, %v", res, err)
	}
}

// Cancelled while waiting for the touch: what was written stays recorded.
func TestCancelWhileTouching(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	ctx, cancel := context.WithCancel(t.Context())
	b.runner.TouchWait = 0
	b.runner.Progress = func(s Step) {
		if s == StepTouch {
			cancel()
		}
	}
	err := b.with(func(k Key) error {
		plan, err := BuildPlan(want(nil), Have{Serial: serial, Version: k.Status().Version})
		if err != nil {
			return err
		}
		_, err = b.runner.Run(ctx, k, plan)
		return err
	})
	var uncertain *UncertainError
	if !errors.As(err, &uncertain) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	b.runner.Progress = b.progress
	if _, err := b.resume(); err != nil {
		t.Fatal(err)
	}
	b.agree("cancelled, then resumed")
}

// Unplugged after the n-th report, stalled at it, or with the n-th report to the key lost, for every n: afterwards resume
// brings store and key to agreement, with one secret drawn for each entry.
func TestDeviceFaultSweep(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(n int) vkey.Faults{
		"unplug": func(n int) vkey.Faults { return vkey.Faults{UnplugAfter: n} },
		"stall":  func(n int) vkey.Faults { return vkey.Faults{StallReport: n} },
		"lose":   func(n int) vkey.Faults { return vkey.Faults{LoseSet: n} },
	} {
		for _, again := range []bool{false, true} {
			sweepDevice(t, name, again, fault)
		}
	}
}

// sweepDevice runs on an empty slot, or over a slot of ours when again is set, until a run meets no fault any more.
func sweepDevice(t *testing.T, name string, again bool, fault func(n int) vkey.Faults) {
	const enough = 200
	for n := 1; ; n++ {
		b := newBench(t, vkey.YubiKey543)
		if again {
			if _, err := b.run(want(nil)); err != nil {
				t.Fatal(err)
			}
		}
		b.key.SetFaults(fault(n))
		_, err := b.run(want(nil))
		reached := err != nil
		b.key.SetFaults(vkey.Faults{})
		b.key.PowerCycle()
		drawn := len(b.book.sealed)
		if _, err := b.resume(); err != nil {
			t.Errorf("%s at report %d, again %v: resume: %v", name, n, again, err)
		}
		b.agree(name)
		if len(b.book.sealed) != drawn {
			t.Errorf("%s at report %d: resume drew a second secret", name, n)
		}
		if !reached && n > 15 {
			return
		}
		if n == enough {
			t.Fatalf("%s: no run ended without a fault", name)
		}
	}
}

func TestStoreFaultSweep(t *testing.T) {
	t.Parallel()
	for n := 1; ; n++ {
		b := newBench(t, vkey.YubiKey543)
		if _, err := b.run(want(nil)); err != nil {
			t.Fatal(err)
		}
		b.book.calls, b.book.failAt = 0, n
		_, err := b.run(want(nil))
		if err == nil {
			return
		}
		if !errors.Is(err, errBook) {
			t.Fatalf("call %d: %v", n, err)
		}
		b.book.failAt = 0
		if _, err := b.resume(); err != nil {
			t.Errorf("call %d: resume: %v", n, err)
		}
		b.agree("store failed")
	}
}

// Killed right after each call to the store: resume settles what is open, by what the key types.
func TestKilledSweep(t *testing.T) {
	t.Parallel()
	outcomes := map[Outcome]int{}
	for n := 1; ; n++ {
		b := newBench(t, vkey.YubiKey543)
		if _, err := b.run(want(nil)); err != nil {
			t.Fatal(err)
		}
		b.book.calls, b.book.dieAt = 0, n
		finished := func() (finished bool) {
			defer func() {
				if r := recover(); r != nil && r != any(died{}) {
					panic(r)
				}
			}()
			_, err := b.run(want(nil))
			return err == nil
		}()
		if finished {
			break
		}
		b.book.dieAt = 0
		res, err := b.resume()
		if err != nil {
			t.Errorf("call %d: resume: %v", n, err)
		}
		outcomes[res.Outcome]++
		b.agree("killed")
		if len(b.book.sealed) > 2 {
			t.Errorf("call %d: resume drew a second secret", n)
		}
	}
	if outcomes[Undone] != 3 || outcomes[Programmed] != 1 || outcomes[""] != 1 {
		t.Errorf("outcomes %v: want undone after reserve, seal and mark, programmed after the write, nothing open after the commit", outcomes)
	}
}

// The slot was emptied by another tool, or overwritten by one, while the entry was open: the sealed secret is written again.
func TestResumeWritesTheSameSecretAgain(t *testing.T) {
	t.Parallel()
	for name, meddle := range map[string]func(*bench) error{
		"erased": func(b *bench) error {
			code := b.book.entries[0].Credential.Secrets.AccessCode
			return b.with(func(k Key) error { return k.Delete(b.t.Context(), 2, code) })
		},
		"not touched": func(b *bench) error { b.touch = []token.Slot{0}; return nil },
	} {
		b := newBench(t, vkey.YubiKey543)
		b.touch = []token.Slot{0}
		if _, err := b.run(want(nil)); !errors.Is(err, ErrNoTouch) {
			t.Fatal(err)
		}
		b.touch = nil
		if err := meddle(b); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		touches := 0
		b.runner.Progress = func(s Step) {
			touches += map[Step]int{StepTouch: 1}[s]
			if name == "not touched" && touches == 2 {
				b.touch = nil
			}
			b.progress(s)
		}
		res, err := b.resume()
		if err != nil || !res.Rewritten || res.Outcome != Programmed {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		b.agree(name)
		if len(b.book.sealed) != 1 {
			t.Errorf("%s: a second secret was drawn", name)
		}
	}
}

// Nothing was sent, and nobody touches the key: the former access code opens the slot for the sealed secret.
func TestResumeOpensWithTheFormerCode(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(want(nil)); err != nil {
		t.Fatal(err)
	}
	w := want(func(s *Spec) { s.Verify = token.NoProof })
	const markWriting = 3
	b.book.calls, b.book.dieAt = 0, markWriting
	func() {
		defer func() { _ = recover() }()
		_, _ = b.run(w)
	}()
	b.book.dieAt, b.touch = 0, []token.Slot{0}
	res, err := b.resume()
	if err != nil || !res.Rewritten {
		t.Fatalf("got %+v, %v", res, err)
	}
	b.agree("rewritten")
}

func TestGoneIsTyped(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.key.SetFaults(vkey.Faults{UnplugAfter: 6})
	if _, err := b.run(want(nil)); !errors.Is(err, usbhid.ErrGone) {
		t.Errorf("got %v", err)
	}
}

// A status that lags behind a write must not make the store forget what the slot holds.
func TestStaleStatus(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.key.SetFaults(vkey.Faults{StaleStatus: 3})
	if _, err := b.run(want(nil)); err != nil {
		t.Fatal(err)
	}
	b.agree("stale status")
}
