package main

import (
	"context"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/usbhid"
)

// swappedBus shows another key once its first one was opened a number of times.
type swappedBus struct {
	pivVirtual
	other virtualBus
	left  int
}

func (b *swappedBus) openCard(ctx context.Context, at usbhid.Attached) (heldCard, error) {
	if b.left--; b.left < 0 {
		return b.other.openCard(ctx, at)
	}
	return b.pivVirtual.openCard(ctx, at)
}

// TestAdmittedIsWritten: a key that takes the place of the one that was proven genuine gets no account.
func TestAdmittedIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	first := r.bus.(pivVirtual)
	r.must("init")
	r.must("device", "genuine", "require", "--roots", r.roots(pivapplet.TestCA()))
	r.must("provision", "--slot", "2")
	other := virtualBus{vkey.New(vkey.YubiKey571, vkey.Options{Serial: 55}), 2}
	card := oathapplet.Install(other.key, oathapplet.Options{})
	for n := 1; n <= 2; n++ {
		r.bus = &swappedBus{first, other, n}
		if code := r.run("oath", "add", "Example:ada"); code != exitNotFound || len(card.Accounts()) != 0 {
			t.Errorf("after %d looks: exit code %d, accounts %v", n, code, card.Accounts())
		}
	}
	r.bus = first
	r.must("oath", "add", "Example:ada")
}
