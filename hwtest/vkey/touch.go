package vkey

import (
	"fmt"
	"time"
)

// How long a touch is held, §4.5; sources differ, these are inside what all of them say.
const (
	shortTouch  = 300 * time.Millisecond // and longer: slot 1
	longTouch   = 2 * time.Second        // and longer: slot 2
	endTouch    = 6 * time.Second        // and longer: nothing …
	manualTouch = 10 * time.Second       // … but this long: a new static password, by the next tap
	manualTime  = 8 * time.Second        // which must come within this
)

// Touch touches the key as for the slot, 1 or 2, and says whether it reacted. A challenge, or a command of the card, that
// waits is answered by any touch. Else the slot types: to the open Conn, to the subscriber, or into Typed. A slot that is empty, dormant, for
// challenge-response, or whose counters are used up types nothing.
func (k *Key) Touch(slot int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.touchCard() || k.touch(slot)
}

func (k *Key) touch(slot int) bool {
	if k.reachable() != nil || slot < 1 || slot > len(k.slots) {
		return false
	}
	if w := k.waiting(); w != nil {
		k.wait = nil
		k.answerChallenge(&k.slots[w.slot], &w.message)
		return true
	}
	s := &k.slots[slot-1]
	if !k.awake(s) || s.challenge() {
		return false
	}
	if k.manualDue(s) {
		copy(s.cfg.key[:], k.random(keyLen))
	}
	k.manual = time.Time{}
	keys := k.output(s)
	k.pauses = nil
	for _, c := range keys {
		k.pauses = append(k.pauses, c.pause)
		k.press(c.code)
	}
	return len(keys) > 0
}

// Hold touches the key for so long and returns the slot that reacted, 0 if none did: from 0.3 s slot 1, from 2 s slot 2.
// Where only slot 1 is configured and FAST_TRIG is set, as always from firmware 3 on, any touch is for slot 1.
//
// On 2.x, 10 s followed by a touch within 8 s draws a new key for a static password with MAN_UPDATE.
func (k *Key) Hold(d time.Duration) (slot int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.touchCard() {
		return 1
	}
	first := &k.slots[0]
	fast := k.profile.Has(FastTrigger) && (k.profile.Version.Major >= 3 || first.cfg.ext&extFastTrigger != 0)
	switch {
	case k.waiting() != nil:
		slot = k.wait.slot + 1
	case d >= manualTouch && k.profile.Has(ManualUpdate):
		k.manual = k.opts.Now()
		return 0
	case fast && k.awake(first) && !k.awake(&k.slots[1]):
		slot = 1
	case d < shortTouch || d >= endTouch:
		return 0
	case d < longTouch:
		slot = 1
	default:
		slot = 2
	}
	if !k.touch(slot) {
		return 0
	}
	return slot
}

// manualDue says whether this touch replaces the slot's static password.
func (k *Key) manualDue(s *slot) bool {
	return !k.manual.IsZero() && k.opts.Now().Sub(k.manual) <= manualTime && s.kind == StaticTicket && s.cfg.cfg&cfgManUpdate != 0
}

// PlugTouched is Plug with the button held down, which makes 2.x keys with SERIAL_BTN_VISIBLE type their serial number,
// decimal, and Enter (§3.2).
func (k *Key) PlugTouched() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.plugged {
		return
	}
	k.powerUp()
	if !k.extFlag(extSerialButton) || k.opts.Serial == 0 || k.opts.HideSerial {
		return
	}
	for _, d := range fmt.Sprint(k.opts.Serial) {
		k.press(k.scanMap[mapDigits+int(d-'0')])
	}
	k.press(k.scanMap[mapCR])
}

// Pauses returns what the slot's flags have the key wait before each key of the last touch: pacing, and the delays of 2.x.
// The key itself does not wait.
func (k *Key) Pauses() []time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]time.Duration(nil), k.pauses...)
}

// LED is what the light in the button does.
type LED int

// The states of the light.
const (
	Dark LED = iota
	Lit
	Blinking
)

// LED says what the light does now: blinking while a challenge or a command of the card waits for a touch, else lit, dark with LED_INV or without
// power.
func (k *Key) LED() LED {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.plugged:
		return Dark
	case k.waiting() != nil, k.cardWait != nil:
		return Blinking
	case k.extFlag(extLEDInverted):
		return Dark
	}
	return Lit
}
