package main

import (
	"context"
	"encoding/json"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/usbhid/usbfs"
)

// cardRigBus is a bus with virtual keys that are smart cards too.
type cardRigBus struct {
	keys   []*vkey.Key
	slot   int
	denied bool // this user may not open the keyboard interface
	reader bool // the system shows no USB, as macOS and Windows: keys are found as readers
	busy   error
}

func (b cardRigBus) find() ([]usbhid.Attached, error) {
	var all []usbhid.Attached
	for _, k := range b.keys {
		one, err := virtualBus{k, b.slot}.find()
		if err != nil {
			return nil, err
		}
		if b.reader {
			one[0].Reader, one[0].OTP = "Yubico "+one[0].Product, false
		}
		all = append(all, one[0])
	}
	return all, nil
}

func (b cardRigBus) watch(ctx context.Context, tick <-chan time.Time) iter.Seq2[usbhid.Event, error] {
	return virtualBus{b.keys[0], b.slot}.watch(ctx, tick)
}

func (b cardRigBus) open(ctx context.Context, k usbhid.Attached, t transport) (usbhid.Device, error) {
	if b.denied || b.reader {
		return nil, usbhid.Denied("/dev/hidraw0")
	}
	return virtualBus{b.key(k), b.slot}.open(ctx, k, t)
}

// key is the one that was found with that product and serial.
func (b cardRigBus) key(at usbhid.Attached) *vkey.Key {
	for _, k := range b.keys {
		if k.USB().Product == at.Product {
			return k
		}
	}
	return b.keys[0]
}

func (cardRigBus) reattach() ([]usbfs.Reattached, error) { return nil, nil }
func (cardRigBus) udevRule() (installed, needed bool)    { return false, false }

func (b cardRigBus) cards(context.Context) ([]usbhid.Attached, error) { return b.find() }

func (b cardRigBus) openCard(_ context.Context, at usbhid.Attached) (heldCard, error) {
	return rigCard{b.key(at).Card()}, b.busy
}

type rigCard struct{ *vkey.Card }

func (c rigCard) Transmit(_ context.Context, command []byte) ([]byte, error) {
	return c.Card.Transmit(command)
}
func (c rigCard) Close() error { c.Reset(); return nil }

// newCardRig is a rig whose key is a smart card too, and somebody at the terminal who touches it when asked.
func newCardRig(t *testing.T, p vkey.Profile, change func(*cardRigBus)) *rig {
	t.Helper()
	r := newRig(t, 2)
	r.key = vkey.New(p, vkey.Options{Serial: rigSerial})
	r.applets()
	b := &cardRigBus{keys: []*vkey.Key{r.key}, slot: 2}
	if change != nil {
		change(b)
	}
	r.bus = *b
	r.stdinTTY = true
	r.readSecret = func(context.Context) (string, error) {
		r.key.Touch(2)
		return r.key.Typed(), nil
	}
	r.must("init")
	return r
}

func (r *rig) says(want string) {
	r.t.Helper()
	if !strings.Contains(r.err.String(), want) {
		r.t.Errorf("nothing says %q:\n%s", want, r.err.String())
	}
}

// TestProvisionByCard writes and proves a key as a smart card: asked for, because the keyboard interface may not be opened, and on a
// system that shows no USB.
func TestProvisionByCard(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		p      vkey.Profile
		change func(*cardRigBus)
		words  []string
		says   string
	}{
		{"asked for", vkey.YubiKey543, nil, []string{"--transport", "ccid"}, "reached as a smart card"},
		{"no permission", vkey.YubiKey571, func(b *cardRigBus) { b.denied = true }, nil, "this user may not open /dev/hidraw0; the key is used as a smart card instead"},
		{"no USB", vkey.YubiKey571, func(b *cardRigBus) { b.reader = true }, nil, "proven by touch"},
		{"NEO", vkey.YubiKeyNEO, nil, []string{"--transport", "ccid"}, "proven by touch"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newCardRig(t, test.p, test.change)
			r.must(append([]string{"provision", "--slot", "2", "--access-code", "random"}, test.words...)...)
			r.says(test.says)
			r.agree(2, 1)
		})
	}
}

// TestPressWithoutTerminal: without a terminal a line of standard input is the press; without one there is advice, and the write waits for
// resume.
func TestPressWithoutTerminal(t *testing.T) {
	t.Parallel()
	r := newCardRig(t, vkey.YubiKey571, nil)
	r.stdinTTY = false
	if code := r.run("provision", "--slot", "2", "--transport", "ccid"); code != exitVerify {
		t.Fatalf("exit code %d\n%s", code, r.err.String())
	}
	r.says("--verify none")
	r.says("provision resume --serial")
	r.stdin = readFunc(func(b []byte) (int, error) {
		r.key.Touch(2)
		if n := copy(b, r.key.Typed()); n > 0 {
			return n, nil
		}
		return 0, io.EOF
	})
	r.must("provision", "resume", "--transport", "ccid")
	r.agree(2, 1)
}

// TestCardRefused: what a smart card cannot do is said before anything is written.
func TestCardRefused(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		p      vkey.Profile
		change func(*cardRigBus)
		words  []string
		says   string
		code   exitCode
	}{
		{"4.3.5", vkey.YubiKey435, nil, []string{"provision", "--slot", "2", "--transport", "ccid"}, "needs firmware 5.3.0 or newer", exitDevice},
		{"no challenge", vkey.YubiKey571, nil, []string{"slot", "program", "--type", "challenge-response", "--slot", "2", "--transport", "ccid"}, "--verify none", exitDevice},
		{"OTP is off", vkey.YubiKey571.Without(vkey.OTP), nil, []string{"provision", "--slot", "2", "--transport", "ccid"}, "device config --enable otp", exitDevice},
		{"OTP is off, auto", vkey.YubiKey571.Without(vkey.OTP), nil, []string{"provision", "--slot", "2"}, "device config --enable otp", exitDevice},
		{"held", vkey.YubiKey571, func(b *cardRigBus) { b.busy = usbhid.ErrBusy }, []string{"provision", "--slot", "2", "--transport", "ccid"}, "in use by another program", exitBusy},
		{"no such way", vkey.YubiKey571, nil, []string{"device", "info", "--transport", "nfc"}, "auto, libusb, hidraw or ccid", exitUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newCardRig(t, test.p, test.change)
			if code := r.run(test.words...); code != test.code {
				t.Errorf("exit code %d, want %d", code, test.code)
			}
			r.says(test.says)
			if r.key.Slot(2).Kind != vkey.Empty {
				t.Error("the slot was written")
			}
			st := r.open()
			if open, err := st.Open(t.Context()); err != nil || len(open) != 0 {
				t.Errorf("%d entries left open, %v", len(open), err)
			}
			if strings.Contains(r.err.String(), "safe in the store") {
				t.Error("a secret was drawn")
			}
		})
	}
}

// info is device info in JSON.
func (r *rig) info(words ...string) described {
	r.t.Helper()
	r.out.Reset()
	r.must(append([]string{"device", "info", "-o", "json"}, words...)...)
	var answer struct{ Device described }
	if err := json.Unmarshal(r.out.Bytes(), &answer); err != nil {
		r.t.Fatal(err)
	}
	return answer.Device
}

func TestDeviceInfo(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{nil, {"--transport", "ccid"}} {
		r := newCardRig(t, vkey.YubiKey571, nil)
		d := r.info(words...)
		if d.Serial != rigSerial || d.Model != "YubiKey 5C NFC" || d.Slot2 != "empty" || d.Known != nil || !strings.Contains(d.USBEnabled, "OTP") || d.Locked != "no" {
			t.Errorf("%+v", d)
		}
		r.must("person", "add", "ada")
		r.must("provision", "--slot", "2", "--to", "ada")
		d = r.info(words...)
		if d.Slot2 != "in use" || d.Known == nil || d.Known.Holder != "ada" || len(d.Known.Slots) != 1 || d.Known.Slots[0].AccessCode != "kept" {
			t.Errorf("%+v, %+v", d, d.Known)
		}
		r.must("device", "info") // the table
	}
	r := newCardRig(t, vkey.YubiKey571.Without(vkey.OTP), nil)
	if d := r.info(); d.Serial != rigSerial || d.Way != "smart card (CCID)" || !strings.Contains(d.USBDisabled, "OTP") {
		t.Errorf("without OTP: %+v", d)
	}
}
