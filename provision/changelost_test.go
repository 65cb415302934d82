package provision

import (
	"context"
	"reflect"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// An update of a slot that is not ours, whose code nobody kept, is not done again: that would take the code away. Killed before or
// after it was sent, the slot stays as it is.
func TestUpdateForeignKilled(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string]bool{"before it was sent": false, "after": true} {
		bare := want(nil)
		bare.AccessCode = NoCode
		b := prepared(t, bare)
		delete(b.book.live, 2)
		f := ykslot.TypingFlags(ykslot.Version{Major: 5, Minor: 4, Patch: 3})
		f.Ticket |= ykslot.TabFirst
		c, err := update(func(u *UpdateSpec) {
			u.Set, u.Complete, u.Code, u.NewCode = f, true, CodeSet, secret.Copy(code1)
		})(Have{Serial: serial, Version: ykslot.Version{Major: 5, Minor: 4, Patch: 3}, InUse: [2]bool{true, true}})
		if err != nil {
			t.Fatal(err)
		}
		if c, err = b.book.BeginChange(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if sent {
			err = b.with(func(k Key) error { return b.runner.carryOut(t.Context(), k, c, secret.Bytes{}) })
		}
		before := b.key.Slot(2)
		done, again := b.resumeChanges()
		if after := b.key.Slot(2); err != nil || again != nil || done || !reflect.DeepEqual(after, before) || after.Protected != sent || len(b.book.openChanges()) != 0 {
			t.Errorf("%s: %v, %v, done %v: %+v, was %+v", name, err, again, done, after, before)
		}
	}
}

// deaf answers the first deletion with a refusal that was none.
type deaf struct {
	SlotDevice
	asked int
}

func (d *deaf) Delete(ctx context.Context, slot ykslot.Slot, code secret.Bytes) error {
	d.asked++
	st := d.Status()
	err := d.SlotDevice.Delete(ctx, slot, code)
	if d.asked == 1 && err == nil {
		return &ykslot.RejectedError{Slot: slot, Before: st}
	}
	return err
}

// A deletion that looked refused and went through is believed when the second one finds the slot empty.
func TestEraseLooksRefused(t *testing.T) {
	t.Parallel()
	for name, slots := range map[string]int{"the last slot": 1, "one of two": 2} {
		b := newBench(t, vkey.YubiKey543)
		for slot := 2; slot > 2-slots; slot-- {
			w := want(nil)
			w.Slot, w.PublicID = token.Slot(slot), Random
			if _, err := b.run(w); err != nil {
				t.Fatal(err)
			}
		}
		err := b.with(func(k Key) error {
			c, err := erase(b.have(k))
			if err != nil {
				return err
			}
			return b.runner.Change(t.Context(), b.book, &deaf{SlotDevice: k}, c, secret.Bytes{})
		})
		if _, live := b.book.live[2]; err != nil || live || b.key.Slot(2).Kind != vkey.Empty {
			t.Errorf("%s: %v, live %v", name, err, live)
		}
	}
}

// The code that the operator names for a slot of which nothing is known is kept where that is asked, and escrowed.
func TestKeepNamedCode(t *testing.T) {
	t.Parallel()
	b := prepared(t, want(nil))
	code := b.book.live[2].Secrets.AccessCode.Clone()
	delete(b.book.live, 2)
	w := want(nil)
	w.AccessCode, w.PublicID, w.Overwrite, w.Reason = KeepCode, Random, Foreign, "found"
	w.Own = &OwnSecrets{Current: code}
	_, err := b.run(w)
	if kept := b.book.live[2].Secrets.AccessCode; err != nil || !kept.Equal(code) || !b.key.HoldsAccessCode(2, [6]byte(code.Reveal())) {
		t.Errorf("%v, the store keeps %d bytes", err, kept.Len())
	}
}
