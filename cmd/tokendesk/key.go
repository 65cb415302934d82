package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// key is one opened YubiKey. It belongs to one goroutine; whoever opened it closes it, also after a signal, because the
// desktop's keyboard may hang on it.
type key struct {
	attached usbhid.Attached
	dev      usbhid.Device
	session  *ykslot.Session
	serial   token.Serial // 0: hidden, or firmware before 2.2
}

func openKey(ctx context.Context, a *app, at usbhid.Attached, t transport) (*key, error) {
	dev, err := a.bus.open(ctx, at, t)
	if err != nil {
		return nil, err
	}
	k := &key{attached: at, dev: dev}
	if err := k.start(ctx); err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return k, nil
}

func (k *key) start(ctx context.Context) (err error) {
	if k.session, err = ykslot.Open(ctx, k.dev, nil); err != nil {
		return err
	}
	n, err := k.session.Serial(ctx)
	var old *ykslot.UnsupportedError
	if err != nil && !errors.Is(err, ykslot.ErrSerialHidden) && !errors.As(err, &old) {
		return err
	}
	k.serial = token.Serial(n)
	return nil
}

// close gives the key back. That it fails is no reason to fail the command: the next start re-attaches.
func (k *key) close() { _ = k.dev.Close() }

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

// described is what device info shows.
type described struct {
	Serial     token.Serial `json:"serial,omitempty"`
	Product    string       `json:"product"`
	Firmware   string       `json:"firmware"`
	FormFactor string       `json:"form_factor,omitempty"`
	Path       string       `json:"path"`
	Interfaces string       `json:"interfaces"`
	Slot1      string       `json:"slot_1"`
	Slot2      string       `json:"slot_2"`
	USBEnabled string       `json:"usb_enabled,omitempty"`
	NFCEnabled string       `json:"nfc_enabled,omitempty"`
	Locked     string       `json:"settings_locked,omitempty"`
}

// describe asks for device information too, which firmware before 4.1 does not have.
func (k *key) describe(ctx context.Context) (described, error) {
	d := described{
		Serial: k.serial, Product: productName(k.attached), Firmware: k.version().String(), Path: k.attached.Path,
		Interfaces: k.attached.Model.Interfaces.String(), Slot1: k.slotState(ykslot.Slot1), Slot2: k.slotState(ykslot.Slot2),
	}
	info, err := k.session.DeviceInfo(ctx)
	var old *ykslot.UnsupportedError
	if errors.As(err, &old) {
		return d, nil
	}
	if err != nil {
		return d, err
	}
	d.FormFactor, d.Locked = info.FormFactor.String(), "no"
	d.USBEnabled, d.NFCEnabled = info.USBEnabled.String(), info.NFCEnabled.String()
	if info.Locked {
		d.Locked = "yes, by a lock code"
	}
	return d, nil
}

func (k *key) slotState(s ykslot.Slot) string {
	st := k.session.Status()
	switch {
	case !st.Version.AtLeast(2, 1, 0):
		return fmt.Sprintf("unknown: firmware %v does not tell", st.Version)
	case !st.Configured(s):
		return "empty"
	case st.Version.AtLeast(3, 0, 0) && !st.TouchRequired(s):
		return "in use, answers without a touch"
	}
	return "in use"
}

// device is the key as provision drives it.
func (k *key) device() provision.Key { return provision.Key{Session: k.session, Input: k.dev} }
