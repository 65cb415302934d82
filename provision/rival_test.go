package provision

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// What happens when somebody else acts between two steps: another process of ours, another program, a finger too early.

// killAt runs a write over what the slot holds and kills it at the n-th call to the store, after its effect.
func (b *bench) killAt(n int, w Spec) {
	b.t.Helper()
	b.book.calls, b.book.dieAt = 0, n
	func() {
		defer func() { _ = recover() }()
		_, _ = b.run(w)
	}()
	b.book.dieAt = 0
}

// The calls to the store in a run.
const (
	callSeal        = 2
	callMarkWriting = 3
	callMarkWritten = 4
)

// A resume that read the ledger before another process went on writing must not give up the entry: its secret may be on
// the key by now.
func TestSettleLeavesARunningWriteAlone(t *testing.T) {
	t.Parallel()
	for n := callSeal; n <= callMarkWritten; n++ {
		b := newBench(t, vkey.YubiKey543)
		b.killAt(n, want(nil))
		read := b.book.open()[0]
		read.Phase = token.Reserved // what the other process saw
		if _, err := b.runner.Settle(t.Context(), read); !errors.Is(err, token.ErrConflict) {
			t.Errorf("call %d: %v", n, err)
		}
		if len(b.book.open()) != 1 {
			t.Errorf("call %d: the entry was given up", n)
		}
	}
}

// Two resumes read the same open entry. The second one to get the key must not write it again: the counters on the key
// would start again behind those of the commit.
func TestResumeOfASettledEntry(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.killAt(callMarkWritten, want(nil))
	read := b.book.open()[0]
	if _, err := b.resume(); err != nil {
		t.Fatal(err)
	}
	b.touch = []token.Slot{0}
	b.key.ResetTransfers()
	err := b.with(func(k Key) error {
		_, err := b.runner.Resume(t.Context(), k, read)
		return err
	})
	if !errors.Is(err, token.ErrConflict) {
		t.Errorf("got %v", err)
	}
	if _, sets := b.key.Transfers(); sets != 0 {
		t.Errorf("%d reports were sent to the key", sets)
	}
	b.agree("settled twice")
}

// Nobody can tell by a code that is not ours, so the interrupted write never got through: the entry is given up. If the key
// had confirmed it, the entry stays open, as its secret is somewhere.
func TestResumeOnALockedSlot(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		at, open int
	}{{callMarkWriting, 0}, {callMarkWritten, 1}} {
		b := newBench(t, vkey.YubiKey543)
		if _, err := b.run(want(nil)); err != nil {
			t.Fatal(err)
		}
		b.killAt(tc.at, want(nil))
		b.key.LockSlot(2, [6]byte{9, 9, 9, 9, 9, 9})
		b.touch = []token.Slot{0}
		_, err := b.resume()
		if !refused(err) || len(b.book.open()) != tc.open {
			t.Errorf("killed at call %d: %v, %d open", tc.at, err, len(b.book.open()))
		}
	}
}

// An OTP that was typed before the slot was written again has the old counters: it is no proof.
func TestTypedBeforeTheRewrite(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(want(func(s *Spec) { s.Slot, s.PublicID = 1, Random })); err != nil {
		t.Fatal(err)
	}
	b.touch = []token.Slot{0}
	if _, err := b.run(want(nil)); !errors.Is(err, ErrNoTouch) {
		t.Fatal(err)
	}
	for range 4 {
		b.key.PowerCycle()
		b.key.Touch(2)
	}
	asked := 0
	b.runner.Progress = func(s Step) {
		if s == StepTouch {
			b.touch = [][]token.Slot{{1, 1, 2}, {2}}[asked]
			asked++
		}
		b.progress(s)
	}
	res, err := b.resume()
	if err != nil || !res.Rewritten || asked != 2 {
		t.Fatalf("%+v, %v", res, err)
	}
	if res.Proof.Use != 1 || res.Proof.Session != 0 {
		t.Errorf("the proof has the counters %d/%d of before the write", res.Proof.Use, res.Proof.Session)
	}
}

// A lost report or a late status looks like a refusal. The write is tried again with the same secret.
func TestRunTriesARefusalAgain(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 12; n++ {
		for name, f := range map[string]vkey.Faults{"lost": {LoseSet: n}, "stale": {StaleStatus: n}} {
			for _, mode := range []AccessCodeMode{RandomCode, NoCode} {
				b := newBench(t, vkey.YubiKey543)
				if _, err := b.run(want(nil)); err != nil {
					t.Fatal(err)
				}
				b.key.SetFaults(f)
				_, err := b.run(want(func(s *Spec) { s.AccessCode = mode }))
				if err != nil && len(b.book.open()) == 0 {
					t.Errorf("%s %d, code %s: given up: %v", name, n, mode, err)
				}
				b.key.SetFaults(vkey.Faults{})
				if _, err := b.resume(); err != nil {
					t.Errorf("%s %d, code %s: resume: %v", name, n, mode, err)
				}
				if len(b.book.sealed) != 2 {
					t.Errorf("%s %d: %d secrets were drawn", name, n, len(b.book.sealed))
				}
				b.agree(name)
			}
		}
	}
}

// Another program writes the other slot in the middle of ours: the entry is settled or waits, and never lost.
func TestOtherProgramWrites(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 24; n++ {
		b := newBench(t, vkey.YubiKey543)
		b.hopeless = true
		err := b.with(func(k Key) error {
			plan, err := BuildPlan(want(nil), Have{Serial: serial, Version: k.Status().Version})
			if err != nil {
				return err
			}
			in := &intruder{Conn: k.Input.(*vkey.Conn), n: n}
			s, err := ykslot.Open(t.Context(), in, noPause)
			if err != nil {
				return err
			}
			_, err = b.runner.Run(t.Context(), Key{Session: s, Input: in}, plan)
			return err
		})
		if err != nil && len(b.book.open()) == 0 && b.key.Holds(2, b.book.sealed[101].Key.Reveal()) {
			t.Errorf("before report %d: given up, but the slot holds the secret: %v", n, err)
		}
		b.runner.Progress = func(s Step) { // the first touch may be of neither; then the sealed secret is written again
			b.progress(s)
			b.hopeless = b.hopeless && s != StepTouch
		}
		if _, err := b.resume(); err != nil {
			t.Errorf("before report %d: resume: %v", n, err)
		}
		b.agree("another program wrote")
	}
}

// intruder writes slot 1 before the n-th report.
type intruder struct {
	*vkey.Conn
	n int
}

func (i *intruder) GetFeature(ctx context.Context) (ykslot.Report, error) {
	i.intrude(ctx)
	return i.Conn.GetFeature(ctx)
}

func (i *intruder) SetFeature(ctx context.Context, r ykslot.Report) error {
	i.intrude(ctx)
	return i.Conn.SetFeature(ctx, r)
}

func (i *intruder) intrude(ctx context.Context) {
	if i.n--; i.n != 0 {
		return
	}
	theirs := token.Credential{Kind: token.YubicoOTP, Secrets: token.Secrets{Key: secret.Copy(bytes.Repeat([]byte{7}, 16)), PrivateID: secret.Copy(make([]byte, 6))}}
	cfg, err := SlotConfig(theirs)
	if err == nil {
		var s *ykslot.Session
		if s, err = ykslot.Open(ctx, i.Conn, noPause); err == nil {
			err = s.Write(ctx, ykslot.Slot1, cfg, theirs.Secrets.AccessCode)
		}
	}
	if err != nil {
		panic(err)
	}
}
