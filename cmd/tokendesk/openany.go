package main

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// openAny is open for what concerns the key and not its slots: a key whose OTP application is switched off is opened too, as a smart
// card.
func (c *choice) openAny(ctx context.Context, a *app) (*key, error) {
	k, err := c.open(ctx, a)
	if err == nil || ctx.Err() != nil || errors.Is(err, usbhid.ErrBusy) {
		return k, err
	}
	t := transport(c.transport)
	if t != auto && t != viaCCID {
		return nil, err
	}
	all, findErr := a.attached(ctx, t)
	if findErr != nil {
		return nil, err
	}
	var without []usbhid.Attached
	for _, at := range all {
		if a.reaches(viaCCID, at) && (at.Reader != "" || !at.Model.Interfaces.Has(usbhid.OTP)) { // a reader's name may promise OTP that is off
			without = append(without, at)
		}
	}
	if c.serial == 0 && (len(without) != 1 || len(all) > 1) {
		return nil, err
	}
	for _, at := range without {
		k, openErr := openManaged(ctx, a, at)
		switch {
		case openErr != nil:
			err = errors.Join(err, openErr)
		case c.serial == 0 || uint32(k.serial) == c.serial:
			return k, nil
		default:
			k.close()
		}
	}
	return nil, err
}

// openManaged opens a key's Management application alone.
func openManaged(ctx context.Context, a *app, at usbhid.Attached) (*key, error) {
	card, err := a.bus.(cardBus).openCard(ctx, at)
	if err != nil {
		return nil, err
	}
	k := &key{attached: at, held: card, presses: &typedPresses{a: a}, managed: true}
	if k.session, err = ykslot.OpenManagement(ctx, card); err == nil {
		err = k.learn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, card.Close())
	}
	return k, nil
}
