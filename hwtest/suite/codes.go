package suite

import (
	"errors"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot"
)

// none is no access code.
func none() secret.Bytes { return secret.Bytes{} }

// codeA and codeB are the access codes that cases set, codeWrong is never set. They are constants so that a real key on
// which a run was killed can be wiped by the next.
func codeA() secret.Bytes     { return secret.Copy([]byte("suiteA")) }
func codeB() secret.Bytes     { return secret.Copy([]byte("suiteB")) }
func codeWrong() secret.Bytes { return secret.Copy([]byte("wrong!")) }

// rejected fails unless err is a refusal with the cause among its likely ones, which left the status as it was.
func (r *rig) rejected(s *ykslot.Session, what string, err error, cause ykslot.Cause) {
	r.Helper()
	refusal := (*ykslot.RejectedError)(nil)
	if !errors.As(err, &refusal) || !slices.Contains(refusal.Causes, cause) {
		r.Errorf("%s: got %v, want a refusal, perhaps because %v", what, err, cause)
		return
	}
	if now := s.Status(); now.ProgSeq != refusal.Before.ProgSeq {
		r.Errorf("%s: refused, but the programming sequence went from %d to %d", what, refusal.Before.ProgSeq, now.ProgSeq)
	}
}

func testCodeNeeded(r *rig) {
	s := r.open()
	code, wrong := codeA(), codeWrong()
	c := r.program(s, ykslot.Slot1, code)
	other := r.config(s, r.draw(), none())
	r.rejected(s, "write without code", s.Write(r.ctx, ykslot.Slot1, other, none()), ykslot.CauseNoAccessCode)
	r.rejected(s, "write with a wrong code", s.Write(r.ctx, ykslot.Slot1, other, wrong), ykslot.CauseAccessCode)
	r.rejected(s, "delete without code", s.Delete(r.ctx, ykslot.Slot1, none()), ykslot.CauseNoAccessCode)
	r.rejected(s, "delete with a wrong code", s.Delete(r.ctx, ykslot.Slot1, wrong), ykslot.CauseAccessCode)
	r.must(s.Write(r.ctx, ykslot.Slot2, other, none()))
	r.proves(ykslot.Slot1, c)
}

// testCodeByWriting: every write sets the code anew; works on any firmware.
func testCodeByWriting(r *rig) {
	s := r.open()
	old, now := codeA(), codeB()
	r.program(s, ykslot.Slot1, old)
	c := r.draw()
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, now), old))
	r.rejected(s, "the old code", s.Write(r.ctx, ykslot.Slot1, r.config(s, c, none()), old), ykslot.CauseAccessCode)
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, now), now))
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, none()), now))
	r.must(s.Write(r.ctx, ykslot.Slot1, r.config(s, c, none()), none()))
}

// testCodeByUpdating: the key, the IDs and the counters stay.
func testCodeByUpdating(r *rig) {
	s := r.open()
	c := r.program(s, ykslot.Slot1, none())
	old, now := codeA(), codeB()
	flags := ykslot.TypingFlags(s.Status().Version)
	update := func(code, current secret.Bytes) error {
		return s.Update(r.ctx, ykslot.Slot1, flags, code, current)
	}
	err := update(old, none())
	r.unsupported(err)
	r.must(err)
	r.rejected(s, "no code", update(now, none()), ykslot.CauseNoAccessCode)
	r.must(update(now, old))
	r.rejected(s, "the old code", update(none(), old), ykslot.CauseAccessCode)
	first := r.proves(ykslot.Slot1, c)
	r.must(update(none(), now))
	if second := r.proves(ykslot.Slot1, c); !first.Before(second) {
		r.Errorf("counters before the update %v, after %v", first, second)
	}
	r.must(update(none(), none()))
}

func testCodeSwap(r *rig) {
	s := r.open()
	code := codeA()
	c := r.program(s, ykslot.Slot1, code)
	err := s.Swap(r.ctx)
	r.unsupported(err)
	r.rejected(s, "swap", err, ykslot.CauseSwapAccessCode)
	r.proves(ykslot.Slot1, c)
}

func testNotUpdatable(r *rig) {
	s := r.open()
	cfg := r.config(s, r.draw(), none())
	cfg.Ext &^= ykslot.AllowUpdate
	r.must(s.Write(r.ctx, ykslot.Slot1, cfg, none()))
	err := s.Update(r.ctx, ykslot.Slot1, ykslot.TypingFlags(s.Status().Version), none(), none())
	r.unsupported(err)
	r.rejected(s, "update", err, ykslot.CauseNotUpdatable)
}
