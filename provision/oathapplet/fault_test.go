package oathapplet

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	virtual "github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// TestInterrupted: a context that ends before a change keeps it from being sent; one that ends meanwhile waits for it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	watched := &spy{card: r.card()}
	r.ch.Card = watched
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, err := range map[string]error{
		"put": r.Put(ctx, dave(), secret.Copy([]byte("seed")), 0), "delete": r.Delete(ctx, dave()), "reset": r.Reset(ctx),
		"password": r.SetPassword(ctx, secret.Copy([]byte("word"))), "calculate": second(r.Calculate(ctx, count(), time.Unix(0, 0))),
	} {
		if !errors.Is(err, context.Canceled) || errors.Is(err, ykslot.ErrUnsettled) || len(watched.sent) > 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	r.ch.Card = apdu.TransmitFunc(func(ctx context.Context, b []byte) ([]byte, error) {
		if b[1] == insPut {
			cancel()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return r.card().Transmit(ctx, b)
	})
	if err := r.Put(ctx, dave(), secret.Copy([]byte("seed")), 0); err != nil || !r.oath.Holds(dave().ID(), []byte("seed")) {
		t.Errorf("cancelled meanwhile: %v", err)
	}
}

// TestHung: a change that a key does not answer ends by itself.
func TestHung(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vkey.YubiKey543)
		r.ch.Card = apdu.TransmitFunc(func(ctx context.Context, b []byte) ([]byte, error) {
			if b[1] == insPut {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return r.card().Transmit(ctx, b)
		})
		begin := time.Now()
		err := r.Put(t.Context(), dave(), secret.Copy([]byte("seed")), 0)
		if took := time.Since(begin); !errors.Is(err, ykslot.ErrUnsettled) || took != changeTime {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// TestUnsettled: where the answer of a change was lost, or says nothing, the error says so; where the key refused, it does not.
func TestUnsettled(t *testing.T) {
	t.Parallel()
	seed := secret.Copy([]byte("seed"))
	do := map[string]func(*rig) error{
		"put":    func(r *rig) error { return r.Put(r.t.Context(), count(), seed, 0) },
		"delete": func(r *rig) error { return r.Delete(r.t.Context(), dave()) },
		"reset":  func(r *rig) error { return r.Reset(r.t.Context()) },
		"rename": func(r *rig) error { return second(r.Rename(r.t.Context(), dave(), "a", "b")) },
		"set":    func(r *rig) error { return r.SetPassword(r.t.Context(), seed) },
		"remove": func(r *rig) error { return r.RemovePassword(r.t.Context()) },
	}
	instructions := map[string]byte{"put": insPut, "delete": insDelete, "reset": insReset, "rename": insRename, "set": insSetCode, "remove": insSetCode}
	for name, change := range do {
		ins := instructions[name]
		for fault, f := range map[string]virtual.Faults{
			"fails before": {INS: ins, FailBefore: 1}, "fails after": {INS: ins, FailAfter: 1}, "leaves before": {INS: ins, LeaveBefore: 1}, "leaves after": {INS: ins, LeaveAfter: 1},
		} {
			r := newRig(t, vkey.YubiKey543)
			r.put(dave(), "seed", 0)
			r.oath.SetFaults(f)
			if err := change(r); !errors.Is(err, ykslot.ErrUnsettled) {
				t.Errorf("%s, %s: %v", name, fault, err)
			}
		}
		r := newRig(t, vkey.YubiKey543)
		r.put(dave(), "seed", 0)
		r.ch.Card = reject(r.card(), ins, apdu.WrongData)
		if err := change(r); !errors.Is(err, apdu.WrongData) || errors.Is(err, ykslot.ErrUnsettled) {
			t.Errorf("%s refused: %v", name, err)
		}
	}
	for name, f := range map[string]virtual.Faults{"fails": {FailAfter: 1}, "leaves": {LeaveAfter: 1}} {
		r := newRig(t, vkey.YubiKey543)
		r.put(count(), "seed", 0)
		r.oath.SetFaults(f)
		if _, err := r.Calculate(t.Context(), count(), time.Unix(0, 0)); !errors.Is(err, ykslot.ErrUnsettled) || r.oath.Accounts()[0].NextFactor != 1 {
			t.Errorf("a lost HOTP code, %s: %v", name, err)
		}
	}
}

// TestResetThenGone: a reset that the key did is not told as one that it refused, because it was pulled out right after.
func TestResetThenGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, vkey.YubiKey543)
	r.put(dave(), "seed", 0)
	done := false
	r.ch.Card = apdu.TransmitFunc(func(ctx context.Context, b []byte) ([]byte, error) {
		if done {
			return []byte{0x6A, 0x82}, nil
		}
		done = b[1] == insReset
		return r.card().Transmit(ctx, b)
	})
	if err := r.Reset(t.Context()); !errors.Is(err, ykslot.ErrUnsettled) || r.ids() != "" {
		t.Errorf("%v, on the key: %q", err, r.ids())
	}
}
