package suite_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/suite"
	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// reader lets one at a time hold a virtual key's card.
type reader struct {
	mu   sync.Mutex
	held bool
	key  *vkey.Key
}

func (r *reader) open(context.Context) (suite.Card, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held {
		return nil, usbhid.ErrBusy
	}
	r.held = true
	return &inserted{card: r.key.Card(), from: r}, nil
}

// inserted is the card while it is held.
type inserted struct {
	card *vkey.Card
	from *reader
}

// Transmit implements suite.Card.
func (i *inserted) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case i.from == nil:
		return nil, os.ErrClosed
	}
	return i.card.Transmit(command)
}

// Close implements suite.Card.
func (i *inserted) Close() error {
	if i.from != nil {
		i.from.mu.Lock()
		i.from.held = false
		i.from.mu.Unlock()
		i.from = nil
	}
	return nil
}

// onCard is a virtual key whose slots are written by its card.
func onCard(k *vkey.Key, open func(context.Context) (suite.Card, error)) suite.Target {
	return suite.Target{
		Open:     func(context.Context) (usbhid.Device, error) { return k.Open() },
		OpenCard: open,
		Press: func(_ context.Context, slot ykslot.Slot) error {
			if !k.Touch(int(slot)) {
				return errors.New("the key does not react to a touch")
			}
			return nil
		},
		Unplug: func(context.Context) error { k.Unplug(); return nil },
		Plug:   func(context.Context) error { k.Plug(); return nil },
		Serial: 7654321,
	}
}

// TestVirtualCard runs the suite over the card, in process, on every firmware that lets a card write.
func TestVirtualCard(t *testing.T) {
	t.Parallel()
	for _, p := range []vkey.Profile{vkey.YubiKeyNEO, vkey.YubiKey543, vkey.YubiKey571} {
		t.Run(p.Version.String(), func(t *testing.T) {
			t.Parallel()
			k := vkey.New(p, vkey.Options{Serial: 7654321})
			res := suite.Run(t, onCard(k, (&reader{key: k}).open))
			if got := res.Firmware.String(); got != p.Version.String() || len(res.Outcomes) == 0 {
				t.Errorf("result says firmware %s and %d cases", got, len(res.Outcomes))
			}
		})
	}
}
