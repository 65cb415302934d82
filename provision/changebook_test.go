package provision

import (
	"context"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Changes of the book. The live credentials follow as sqlstore lets them.

func (b *book) BeginChange(_ context.Context, c token.SlotChange) (token.SlotChange, error) {
	defer b.die()
	if err := b.call(); err != nil {
		return c, err
	}
	if len(b.open()) > 0 || len(b.openChanges()) > 0 {
		return c, token.ErrUnsettled
	}
	c.ID, c.Phase, c.Code = token.ChangeID(len(b.changes)+1), token.Writing, c.Code.Clone()
	kept := c
	if c.Credential == nil { // nothing to keep its code with
		kept.Code = secret.Bytes{}
	}
	b.changes = append(b.changes, &kept)
	return c, nil
}

func (b *book) openChanges() []token.SlotChange {
	var out []token.SlotChange
	for _, c := range b.changes {
		if c.Phase.Open() {
			out = append(out, *c)
		}
	}
	return out
}

func (b *book) EndChange(_ context.Context, id token.ChangeID) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	c := b.changes[id-1]
	if !c.Phase.Open() {
		return token.ErrConflict
	}
	c.Phase = token.Committed
	switch {
	case c.Work == token.Swap:
		one, first := b.live[1]
		two, second := b.live[2]
		delete(b.live, 1)
		delete(b.live, 2)
		if one.Slot = 2; first {
			b.live[2] = one
		}
		if two.Slot = 1; second {
			b.live[1] = two
		}
	case c.Work == token.Erase:
		delete(b.live, c.Slot)
	case c.Credential != nil:
		now := b.live[c.Slot]
		now.Settings = c.After
		s := b.sealed[now.ID]
		s.AccessCode = c.Code
		now.Secrets, b.sealed[now.ID] = s, s
		b.live[c.Slot] = now
	}
	return nil
}

func (b *book) DropChange(_ context.Context, id token.ChangeID, _ string) error {
	defer b.die()
	if err := b.call(); err != nil {
		return err
	}
	c := b.changes[id-1]
	if !c.Phase.Open() {
		return token.ErrConflict
	}
	c.Phase = token.Aborted
	return nil
}

// have is what the bench's key and book say.
func (b *bench) have(k Key) Have {
	st := k.Status()
	h := Have{Serial: serial, Version: st.Version, InUse: [2]bool{st.Configured(1), st.Configured(2)}}
	for _, c := range b.book.live {
		h.Live = append(h.Live, c)
	}
	return h
}

// change plans and carries out a change.
func (b *bench) change(build func(Have) (token.SlotChange, error), current secret.Bytes) error {
	b.t.Helper()
	return b.with(func(k Key) error {
		c, err := build(b.have(k))
		if err != nil {
			return err
		}
		return b.runner.Change(b.t.Context(), b.book, k, c, current)
	})
}

// resumeChanges settles what is open.
func (b *bench) resumeChanges() (done bool, err error) {
	b.t.Helper()
	for _, c := range b.book.openChanges() {
		b.slot = 1
		err = b.with(func(k Key) error {
			done, err = b.runner.ResumeChange(b.t.Context(), b.book, k, c)
			return err
		})
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// agreeAll holds both slots against the book, flags included.
func (b *bench) agreeAll(how string) {
	b.t.Helper()
	if open := b.book.openChanges(); len(open) != 0 {
		b.t.Errorf("%s: %d changes are open", how, len(open))
	}
	for slot := token.Slot(1); slot <= 2; slot++ {
		b.slot = slot
		b.agree(how)
		c, ok := b.book.live[slot]
		if s := b.key.Slot(int(slot)); ok && (c.Slot != slot || s.Ext != c.Settings.ExtFlags || s.Tkt != c.Settings.TicketFlags || s.Cfg != c.Settings.ConfigFlags) {
			b.t.Errorf("%s: slot %d has %02x/%02x/%02x, the book %d and %+v", how, slot, s.Ext, s.Tkt, s.Cfg, c.Slot, c.Settings)
		}
	}
}
