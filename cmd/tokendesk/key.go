package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// key is one opened YubiKey. It belongs to one goroutine; whoever opened it closes it, also after a signal, because the
// desktop's keyboard may hang on it.
type key struct {
	attached usbhid.Attached
	dev      usbhid.Device // nil: opened as a smart card
	held     io.Closer
	session  *ykslot.Session
	presses  *typedPresses // of a smart card
	serial   token.Serial  // 0: hidden, or firmware before 2.2
	scanMap  ykslot.ScanMap
	managed  bool  // only its Management application was opened: what its slots hold is not to be seen
	denied   error // why the keyboard interface was not taken, when auto turned to the smart card
}

// openKey opens a key by a transport. With auto that is its keyboard interface, if it has one that this user may open, and otherwise
// its smart card.
func openKey(ctx context.Context, a *app, at usbhid.Attached, t transport) (*key, error) {
	if t == viaCCID || t == auto && !at.OTP && a.reaches(t, at) {
		return openCardKey(ctx, a, at, nil)
	}
	dev, err := a.bus.open(ctx, at, t)
	if t == auto && errors.Is(err, usbhid.ErrPermission) && a.reaches(viaCCID, at) {
		if k, cardErr := openCardKey(ctx, a, at, err); cardErr == nil {
			return k, nil
		}
	}
	if err != nil {
		return nil, err
	}
	k := &key{attached: at, dev: dev, held: dev}
	if k.session, err = ykslot.Open(ctx, dev, nil); err == nil {
		err = k.learn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return k, nil
}

// openCardKey opens a key as a smart card.
func openCardKey(ctx context.Context, a *app, at usbhid.Attached, denied error) (*key, error) {
	b, ok := a.bus.(cardBus)
	if !ok {
		return nil, fmt.Errorf("smart cards: %w", usbhid.ErrNotBuiltIn)
	}
	card, err := b.openCard(ctx, at)
	if err != nil {
		return nil, err
	}
	k := &key{attached: at, held: card, presses: &typedPresses{a: a}, denied: denied}
	if k.session, err = ykslot.OpenCard(ctx, card); err == nil {
		err = k.learn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, card.Close())
	}
	return k, nil
}

// learn reads the serial number. A key that hides it from its slots' side tells it in its device information, which is asked for only
// on a smart card: there is nothing else to know the key by.
func (k *key) learn(ctx context.Context) error {
	n, err := k.session.Serial(ctx)
	if err != nil && k.dev == nil {
		var info ykslot.DeviceInfo
		if info, err = k.session.DeviceInfo(ctx); err == nil {
			n = info.Serial
		}
	}
	var old *ykslot.UnsupportedError
	if err != nil && !errors.Is(err, ykslot.ErrSerialHidden) && !errors.As(err, &old) {
		return err
	}
	k.serial = token.Serial(n)
	return nil
}

// close gives the key back. That it fails is no reason to fail the command: the next start re-attaches.
func (k *key) close() { _ = k.held.Close() }

func (k *key) version() ykslot.Version { return k.session.Status().Version }

func (k *key) inUse() [2]bool {
	st := k.session.Status()
	return [2]bool{st.Configured(ykslot.Slot1), st.Configured(ykslot.Slot2)}
}

func (k *key) slotsInUse() string {
	switch k.inUse() {
	case [2]bool{true, false}:
		return "1"
	case [2]bool{false, true}:
		return "2"
	case [2]bool{true, true}:
		return "1+2"
	}
	return "none"
}

// name is how messages call the key.
func (k *key) name() string {
	if k.serial == 0 {
		return "the key at " + k.attached.Path
	}
	return "key " + k.serial.String()
}

func (k *key) slotState(s ykslot.Slot) string {
	st := k.session.Status()
	switch {
	case k.managed:
		return "unknown: the OTP application is switched off"
	case !st.Version.AtLeast(2, 1, 0):
		return fmt.Sprintf("unknown: firmware %v does not tell", st.Version)
	case !st.Configured(s):
		return "empty"
	case st.Version.AtLeast(3, 0, 0) && !st.TouchRequired(s):
		return "in use, answers without a touch"
	}
	return "in use"
}

// takes is nil, or says why a slot cannot be written or proven the way the key was opened: before a secret is drawn for it.
func (k *key) takes(want provision.Spec) error {
	err := k.session.Writable()
	if err == nil && want.Kind == token.ChallengeResponse && want.Verify != token.NoProof {
		if err = k.session.Answers(); err != nil {
			err = problemf(exitDevice, "%s", oneLine(err)).hint("use it: --transport libusb or hidraw").hint("or leave the answer unproven: --verify none")
		}
	}
	return err
}

// device is the key as provision drives it.
func (k *key) device() provision.SlotDevice {
	if k.dev == nil {
		return typedKey{k.session, k.presses}
	}
	return provision.Key{Session: k.session, Input: k.dev, Map: k.scanMap}
}
