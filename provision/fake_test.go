package provision

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// book is a Ledger in memory that keeps the promises of the interface for one key, and fails its n-th call on demand.
type book struct {
	entries []*token.Entry
	sealed  map[token.CredentialID]token.Secrets
	live    map[token.Slot]token.Credential
	failAt  int // 0: never
	dieAt   int // the process dies after the effect of this call
	calls   int
	onSeal  func()
	changes []*token.SlotChange
}

var errBook = errors.New("the store failed")

func newBook() *book {
	return &book{sealed: map[token.CredentialID]token.Secrets{}, live: map[token.Slot]token.Credential{}}
}

// died is the panic that stands for a killed process.
type died struct{}

// die is deferred by every call.
func (b *book) die() {
	if b.calls == b.dieAt {
		panic(died{})
	}
}

func (b *book) call() error {
	b.calls++
	if b.calls == b.failAt {
		return errBook
	}
	return nil
}

func (b *book) Reserve(_ context.Context, r token.Reservation) (token.Entry, error) {
	defer b.die()
	if err := b.call(); err != nil {
		return token.Entry{}, err
	}
	for _, e := range b.open() {
		if e.Slot == r.Slot {
			return token.Entry{}, token.ErrUnsettled
		}
	}
	for slot, c := range b.live {
		if r.PublicID.Len() > 0 && c.PublicID == r.PublicID && slot != r.Slot {
			return token.Entry{}, token.ErrDuplicate
		}
	}
	id := len(b.entries) + 1
	e := &token.Entry{
		ID: token.EntryID(id), Phase: token.Reserved, Serial: r.Serial, Slot: r.Slot, Proof: r.Proof,
		Credential: token.Credential{
			ID: token.CredentialID(100 + id), Kind: r.Kind, Slot: r.Slot, PublicID: r.PublicID, Settings: r.Settings, State: token.Pending, Counters: token.Fresh(),
		},
	}
	e.Credential.Counters.Moving = r.Settings.FirstMoving - 1
	if c, ok := b.live[r.Slot]; ok {
		e.Former = &c
	}
	b.entries = append(b.entries, e)
	return *e, nil
}

func (b *book) entry(id token.EntryID) *token.Entry { return b.entries[id-1] }

func (b *book) Seal(_ context.Context, id token.EntryID, s token.Secrets) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	if b.onSeal != nil {
		b.onSeal()
	}
	e := b.entry(id)
	own := token.Secrets{Key: s.Key.Clone(), PrivateID: s.PrivateID.Clone(), AccessCode: s.AccessCode.Clone()}
	b.sealed[e.Credential.ID], e.Credential.Secrets, e.Phase = own, own, token.Sealed
	return nil
}

func (b *book) Mark(_ context.Context, id token.EntryID, p token.Phase) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	e := b.entry(id)
	if !e.Phase.Open() || e.Phase == token.Reserved {
		return token.ErrConflict
	}
	if e.Phase != token.Written {
		e.Phase = p
	}
	return nil
}

func (b *book) Commit(_ context.Context, id token.EntryID, proof *token.Counters) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	e := b.entry(id)
	if !e.Phase.Uncertain() {
		return token.ErrConflict
	}
	e.Phase, e.Credential.State = token.Committed, token.Programmed
	if proof != nil {
		e.Credential.State, e.Credential.Counters = token.Active, *proof
	}
	b.live[e.Slot] = e.Credential
	return nil
}

func (b *book) Abort(_ context.Context, id token.EntryID, from token.Phase, _ string, former *token.Counters) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	e := b.entry(id)
	if e.Phase != from {
		return token.ErrConflict
	}
	e.Phase, e.Credential.State = token.Aborted, token.Revoked
	if former != nil {
		c := b.live[e.Slot]
		c.Counters = *former
		b.live[e.Slot] = c
	}
	return nil
}

func (b *book) open() []token.Entry {
	var out []token.Entry
	for _, e := range b.entries {
		if e.Phase.Open() {
			out = append(out, *e)
		}
	}
	return out
}

// bench is a virtual key, a book and a runner that touches the key when asked.
type bench struct {
	t        *testing.T
	key      *vkey.Key
	book     *book
	runner   *Runner
	steps    []Step
	mispress []Mispress
	touch    []token.Slot // what to touch at each StepTouch; the slot of the run afterwards; 0: nothing
	hopeless bool         // no touch can prove anything: none is waited for
	scanMap  ykslot.ScanMap
	wrong    []bool // which of the touches that a swap asks for are of the other slot
	slot     token.Slot
	opened   int // reports that opening the key sent
}

func newBench(t *testing.T, p vkey.Profile) *bench {
	b := &bench{t: t, key: vkey.New(p, vkey.Options{Serial: serial}), book: newBook(), slot: 2}
	b.runner = &Runner{
		Ledger: b.book, Rand: rand.Reader, Now: func() time.Time { return time.Unix(1e9, 0) }, TouchWait: time.Minute,
		Progress: b.progress, Mispress: func(m Mispress) { b.mispress = append(b.mispress, m) },
	}
	return b
}

// progress touches the key where the runner asks for it. Where nobody does, or it proves nothing, that is soon over; 0 stays as it is.
func (b *bench) progress(s Step) {
	b.steps = append(b.steps, s)
	touched := false
	defer func() {
		if b.runner.TouchWait > 0 {
			b.runner.TouchWait = map[bool]time.Duration{true: time.Minute, false: 20 * time.Millisecond}[touched && !b.hopeless]
		}
	}()
	if slot := map[Step]token.Slot{StepTouch1: 1, StepTouch2: 2}[s]; slot != 0 {
		if len(b.wrong) > 0 {
			if b.wrong[0] {
				slot = 3 - slot
			}
			b.wrong = b.wrong[1:]
		}
		touched = b.key.Touch(int(slot))
	}
	if s != StepTouch {
		return
	}
	todo := []token.Slot{b.slot}
	if b.touch != nil {
		todo = b.touch
	}
	for _, slot := range todo {
		touched = b.key.Touch(int(slot)) || touched
	}
}

// noPause is the device's pace without waiting.
func noPause(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// with opens the key for f. The error is that of opening or f's.
func (b *bench) with(f func(Key) error) error {
	b.t.Helper()
	conn, err := b.key.Open()
	if err != nil {
		return err
	}
	defer conn.Close()
	s, err := ykslot.Open(b.t.Context(), conn, noPause)
	if err != nil {
		return err
	}
	_, b.opened = b.key.Transfers()
	return f(Key{Session: s, Input: conn, Map: b.scanMap})
}

// run plans and runs one write.
func (b *bench) run(w Spec) (res Result, err error) {
	b.t.Helper()
	b.slot = w.Slot
	err = b.with(func(k Key) error {
		st := k.Status()
		h := Have{Serial: serial, Version: st.Version, InUse: [2]bool{st.Configured(1), st.Configured(2)}}
		for _, c := range b.book.live {
			h.Live = append(h.Live, c)
		}
		plan, err := BuildPlan(w, h)
		if err != nil {
			return err
		}
		res, err = b.runner.Run(b.t.Context(), k, plan)
		return err
	})
	return res, err
}

// resume settles every open entry.
func (b *bench) resume() (res Result, err error) {
	b.t.Helper()
	for _, e := range b.book.open() {
		b.slot = e.Slot
		err = b.with(func(k Key) error {
			res, err = b.runner.Resume(b.t.Context(), k, e)
			return err
		})
		if err != nil {
			return res, err
		}
	}
	return res, nil
}

// agree fails unless nothing is open and the book's live credential is what the slot holds.
func (b *bench) agree(how string) {
	b.t.Helper()
	if open := b.book.open(); len(open) != 0 {
		b.t.Errorf("%s: %d entries are open, the first %s", how, len(open), open[0].Phase)
	}
	c, ok := b.book.live[b.slot]
	held := b.key.Slot(int(b.slot)).Kind != vkey.Empty
	if ok != held {
		b.t.Errorf("%s: the store has a live credential: %v, the slot holds one: %v", how, ok, held)
	}
	if !ok {
		return
	}
	s := b.book.sealed[c.ID]
	key := s.Key.Reveal()
	if c.Kind == token.Static && FlagsOf(c.Settings).Mode() == ykslot.ModeScanCodes {
		key = append(append([]byte{}, key...), make([]byte, ykslot.MaxStrokes-len(key))...)
	}
	if !b.key.Holds(int(b.slot), key) || s.PrivateID.Len() > 0 && !b.key.Holds(int(b.slot), s.PrivateID.Reveal()) {
		b.t.Errorf("%s: the slot does not hold the live credential's secrets", how)
	}
	if protected := b.key.Slot(int(b.slot)).Protected; protected != (s.AccessCode.Len() > 0) {
		b.t.Errorf("%s: slot protected: %v, code escrowed: %v", how, protected, s.AccessCode.Len() > 0)
	} else if protected && !b.key.HoldsAccessCode(int(b.slot), [6]byte(s.AccessCode.Reveal())) {
		b.t.Errorf("%s: another access code is escrowed than the slot has", how)
	}
}
