// Package suite is one body of tests for everything that can be held as a usbhid.Device or as a smart card with a YubiKey behind
// it: a virtual key in process, a virtual key over a real USB stack through hidraw, libusb and pcscd, and a real key. What a
// virtual key gets wrong on hardware becomes a case here first.
//
// Run drives a ykslot.Session through every case. It wipes both slots before each case and at the end: never give it a
// key that is in use. It imports package testing and so never belongs in cmd.
package suite

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// Target is one key that may be wiped, and what a test can do to it. Every field but Open and Press may be left out;
// cases that need it are then skipped.
type Target struct {
	// Open takes the key's keyboard interface, as the transport under test does.
	Open func(ctx context.Context) (usbhid.Device, error)
	// OpenCard takes the key's smart card, if that is under test. Then slots are written by it, and Open is where presses are
	// read. Firmware 4.0 to 5.2 cannot be tested this way.
	OpenCard func(ctx context.Context) (Card, error)
	// Press touches the key as for slot 1 or 2, or asks a person to. The key types after, perhaps before, it returns.
	Press func(ctx context.Context, slot ykslot.Slot) error
	// Unplug pulls the key out; it returns once the system has noticed.
	Unplug func(ctx context.Context) error
	// Plug puts the key back; it returns once Open can succeed.
	Plug func(ctx context.Context) error
	// Keyboard reports whether the system's keyboard driver holds the OTP interface now.
	Keyboard func(ctx context.Context) (bool, error)
	// Serial is the key's serial number; 0 leaves the comparison out.
	Serial uint32
	// Patience bounds one case; 0 is five minutes.
	Patience time.Duration
}

// Card is a smart card that is held until it is closed.
type Card interface {
	apdu.Transmitter
	io.Closer
}

// Outcome is how one case ended.
type Outcome struct {
	Case    string  `json:"case"`
	Result  string  `json:"result"` // "passed", "failed" or "skipped"
	Seconds float64 `json:"seconds"`
}

// Result is what Run saw. It holds no secret and no serial number.
type Result struct {
	Firmware ykslot.Version
	Outcomes []Outcome
}

// testCase is one test; it starts with both slots empty and the key not held.
type testCase struct {
	name string
	run  func(*rig)
}

// cases is every test, in the order they run.
func cases() []testCase {
	return append([]testCase{
		{"status", testStatus},
		{"serial", testSerial},
		{"device info", testDeviceInfo},
		{"write and prove slot 1", func(r *rig) { testProve(r, ykslot.Slot1) }},
		{"write and prove slot 2", func(r *rig) { testProve(r, ykslot.Slot2) }},
		{"overwrite", testOverwrite},
		{"delete", testDelete},
		{"swap", testSwap},
		{"hidden serial", testHiddenSerial},
		{"access code: refused without it", testCodeNeeded},
		{"access code: changed and removed by writing", testCodeByWriting},
		{"access code: set, changed and removed by updating", testCodeByUpdating},
		{"access code: swap refused", testCodeSwap},
		{"update refused without the flag", testNotUpdatable},
		{"exclusive", testExclusive},
		{"close twice", testCloseTwice},
		{"keyboard back after close", testKeyboard},
		{"cancelled between reports", testCancel},
		{"cancelled wait for input", testCancelInput},
		{"unplugged", testUnplug},
		{"unplugged while waiting for input", testUnplugInput},
		{"plugged in again", testReplug},
	}, kindCases()...)
}

// Run runs every case as a subtest, one after the other. It needs the key for itself.
func Run(t *testing.T, target Target) Result {
	if target.Patience == 0 {
		target.Patience = 5 * time.Minute
	}
	var res Result
	for _, c := range cases() {
		start, result := time.Now(), "passed"
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() {
				switch {
				case t.Failed():
					result = "failed"
				case t.Skipped():
					result = "skipped"
				}
			})
			r := newRig(t, target)
			res.Firmware = r.wipe()
			c.run(r)
		})
		res.Outcomes = append(res.Outcomes, Outcome{c.name, result, time.Since(start).Seconds()})
	}
	t.Run("left empty", func(t *testing.T) {
		newRig(t, target).wipe()
	})
	return res
}

// rig is one case's hold on the key.
type rig struct {
	*testing.T
	Target
	ctx  context.Context
	dev  usbhid.Device
	card Card // nil: slots are written by dev
	// out is whether the key is unplugged now.
	out bool
	// lost counts touches that were typed but not read whole since the credential was written or the key plugged in.
	lost uint8
}

// newRig makes a rig whose context outlives the case's cleanups: t.Context is cancelled before them.
func newRig(t *testing.T, target Target) *rig {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), target.Patience)
	t.Cleanup(cancel)
	return &rig{T: t, Target: target, ctx: ctx}
}

// must ends the case on an error.
func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// open takes the key until the case ends or close is called, and starts a session.
func (r *rig) open() *ykslot.Session {
	r.Helper()
	dev, err := r.Open(r.ctx)
	r.must(err)
	r.Cleanup(func() { _ = dev.Close() })
	r.dev = dev
	if r.OpenCard == nil {
		s, err := ykslot.Open(r.ctx, dev, nil)
		r.must(err)
		return s
	}
	card, err := r.OpenCard(r.ctx)
	r.must(err)
	r.Cleanup(func() { _ = card.Close() })
	r.card = card
	s, err := ykslot.OpenCard(r.ctx, card)
	r.must(err)
	return s
}

func (r *rig) close() {
	r.Helper()
	if r.card != nil {
		r.must(r.card.Close())
	}
	r.must(r.dev.Close())
}

// wipe empties both slots, gives the key back and returns its firmware. It also opens a slot that a killed run left
// locked, as the suite's access codes are constants.
func (r *rig) wipe() ykslot.Version {
	r.Helper()
	s := r.open()
	for _, slot := range []ykslot.Slot{ykslot.Slot1, ykslot.Slot2} {
		var err error
		for _, code := range []secret.Bytes{none(), codeA(), codeB()} {
			if !s.Status().Configured(slot) {
				break
			}
			err = s.Delete(r.ctx, slot, code)
		}
		if s.Status().Configured(slot) {
			r.Fatal(err)
		}
	}
	r.close()
	return s.Status().Version
}

// credential is a fresh Yubico OTP.
type credential struct {
	publicID       []byte
	privateID, key secret.Bytes
}

func (r *rig) draw() credential {
	r.Helper()
	id := make([]byte, 6)
	_, _ = rand.Read(id) // never fails
	id[0] = 0xff         // self-programmed: reference yubikey-otp.md §4.2
	return credential{id, r.random(yubiotp.PrivateIDLen), r.random(yubiotp.KeyLen)}
}

func (r *rig) random(n int) secret.Bytes {
	r.Helper()
	b, err := secret.Random(rand.Reader, n)
	r.must(err)
	r.Cleanup(b.Destroy)
	return b
}

// config is the credential's slot configuration with the usual flags and the access code.
func (r *rig) config(s *ykslot.Session, c credential, code secret.Bytes) ykslot.Config {
	r.Helper()
	cfg, err := ykslot.YubicoOTP{
		PublicID: c.publicID, PrivateID: c.privateID, Key: c.key, AccessCode: code,
		Flags: ykslot.TypingFlags(s.Status().Version),
	}.Config()
	r.must(err)
	return cfg
}

// program writes a fresh credential into a slot that has no access code.
func (r *rig) program(s *ykslot.Session, slot ykslot.Slot, code secret.Bytes) credential {
	r.Helper()
	c := r.draw()
	r.must(s.Write(r.ctx, slot, r.config(s, c, code), secret.Bytes{}))
	r.lost = 0
	return c
}

// proves touches the slot and opens what the key types with the credential.
func (r *rig) proves(slot ykslot.Slot, c credential) yubiotp.Token {
	r.Helper()
	publicID, block, err := yubiotp.Split(r.whole(slot, 2*(len(c.publicID)+yubiotp.BlockLen)))
	r.must(err)
	if !bytes.Equal(publicID, c.publicID) {
		r.Fatalf("%v types public ID %x, want %x", slot, publicID, c.publicID)
	}
	cipher, err := yubiotp.NewCipher(c.key, c.privateID)
	r.must(err)
	defer cipher.Destroy()
	token, verdict := cipher.Open(block)
	if verdict != yubiotp.OK {
		r.Fatalf("%v: its OTP is %v under the key that was written", slot, verdict)
	}
	return token
}

// touches is how often a touch is tried again when not all of it was read.
const touches = 3

// whole touches the slot until all of the length was read. A machine that is starved of processor time loses keyboard
// reports over hidraw, which keeps 64, or pauses for so long that ReadPress takes it for the end.
func (r *rig) whole(slot ykslot.Slot, length int) string {
	r.Helper()
	text := r.typed(slot)
	for len(text) != length && r.lost < touches {
		r.Logf("read %d characters of %d: touching again", len(text), length)
		r.lost++
		r.drain()
		text = r.typed(slot)
	}
	return text
}

// drain reads what is still being typed.
func (r *rig) drain() {
	r.Helper()
	for {
		ctx, cancel := context.WithTimeout(r.ctx, 2*time.Second)
		_, err := r.dev.ReadInput(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return
		}
		r.must(err)
	}
}

// typed touches the slot and returns what the key types up to Enter. The reading starts first: the kernel keeps fewer
// reports than an OTP has.
func (r *rig) typed(slot ykslot.Slot) string {
	r.Helper()
	type line struct {
		text string
		err  error
	}
	got := make(chan line, 1)
	go func() {
		text, err := ykslot.ReadPress(r.ctx, r.dev)
		got <- line{text, err}
	}()
	r.must(r.Press(r.ctx, slot))
	l := <-got
	r.must(l.err)
	return l.text
}
