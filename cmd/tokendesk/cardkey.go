package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// cardKey is the smart card of one YubiKey, held by this program alone. It belongs to one goroutine; whoever opened it closes it,
// before the key is opened in any other way.
type cardKey struct {
	attached usbhid.Attached
	card     heldCard
	serial   token.Serial // 0: it does not tell
	firmware ykslot.Version
}

// name is how messages call the key.
func (k *cardKey) name() string {
	if k.serial == 0 {
		return "the key at " + k.attached.Path
	}
	return "key " + k.serial.String()
}

// close gives the card back. That it fails is no reason to fail the command.
func (k *cardKey) close() { _ = k.card.Close() }

// openCard holds the smart card of the chosen key: the only one, or the one with that serial number, which its card itself tells. So
// another key of the same kind is found out where the system does not say which reader belongs to which key.
func (c choice) openCard(ctx context.Context, a *app) (*cardKey, error) {
	b, ok := a.bus.(cardBus)
	if !ok {
		return nil, fmt.Errorf("smart cards: %w", usbhid.ErrNotBuiltIn)
	}
	all, err := a.attached(ctx, viaCCID)
	if err != nil {
		return nil, err
	}
	cards := a.reached(all, viaCCID)
	switch {
	case len(all) == 0:
		return nil, nothingUsable(nil, viaCCID)
	case len(cards) == 0:
		return nil, problemf(exitDevice, "the smart-card interface of the attached key is off, or it has none (%s: %s)", all[0].Path, all[0].Model.Interfaces).
			hint("%s", switchOn(all[0], "oath"))
	case c.serial != 0:
		return c.findCard(ctx, b, cards)
	case len(cards) > 1:
		return nil, severalKeys(a.survey(ctx, cards, auto))
	}
	return openCardOf(ctx, b, cards[0])
}

// cardSerial is the serial number of the chosen key, so that several openings mean the same key; 0: it does not tell.
func (c choice) cardSerial(ctx context.Context, a *app) (uint32, error) {
	k, err := c.openCard(ctx, a)
	if err != nil {
		return 0, err
	}
	defer k.close()
	return uint32(k.serial), nil
}

// findCard opens one card after the other until the serial number fits.
func (c choice) findCard(ctx context.Context, b cardBus, cards []usbhid.Attached) (*cardKey, error) {
	var failed error
	for _, at := range cards {
		k, err := openCardOf(ctx, b, at)
		if err == nil && k.serial == token.Serial(c.serial) {
			return k, nil
		}
		if err == nil {
			k.close()
		}
		failed = errors.Join(failed, err)
	}
	if failed != nil && (len(cards) == 1 || ctx.Err() != nil) {
		return nil, failed
	}
	return nil, noSuchCard(token.Serial(c.serial), failed)
}

// noSuchCard says that no card has a serial number; failed is why others could not be asked.
func noSuchCard(serial token.Serial, failed error) error {
	p := problemf(exitNotFound, "no key with serial number %s is attached as a smart card", serial).hint("see what is: tokendesk device list")
	if failed != nil {
		p = p.hint("not opened: %s", explain(failed).line)
	}
	return p
}

func openCardOf(ctx context.Context, b cardBus, at usbhid.Attached) (*cardKey, error) {
	card, err := b.openCard(ctx, at)
	if err != nil {
		return nil, err
	}
	k := &cardKey{attached: at, card: card}
	if err := k.learn(ctx); err != nil {
		return nil, errors.Join(err, card.Close())
	}
	return k, nil
}

// learn asks the Management application, and where there is none or it does not tell, the OTP application, for serial number and firmware. A key
// that has neither on tells nothing, which is no error.
func (k *cardKey) learn(ctx context.Context) error {
	s, err := ykslot.OpenManagement(ctx, k.card)
	if err == nil {
		k.firmware = s.Status().Version
		var info ykslot.DeviceInfo
		if info, err = s.DeviceInfo(ctx); err == nil {
			k.serial = token.Serial(info.Serial)
			return nil
		}
	}
	if !k.untold(err) {
		return err
	}
	if s, err = ykslot.OpenCard(ctx, k.card); err == nil {
		var n uint32
		k.firmware = s.Status().Version
		n, err = s.Serial(ctx)
		k.serial = token.Serial(n)
	}
	if err != nil && !k.untold(err) {
		return err
	}
	return nil
}

// untold reports whether an error only says that the key does not tell.
func (k *cardKey) untold(err error) bool {
	var old *ykslot.UnsupportedError
	return errors.Is(err, ykslot.ErrNoApplet) || errors.Is(err, ykslot.ErrSerialHidden) || errors.As(err, &old)
}
