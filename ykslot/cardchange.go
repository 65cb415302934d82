package ykslot

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Where firmware cannot do it by card. Source: reference yubikey-otp.md §5, §1.7, §1.6.
var (
	cardReadOnly = span{Version{4, 0, 0}, Version{5, 3, 0}} // on USB
	cardStale    = span{Version{5, 0, 0}, Version{5, 4, 3}} // the status does not show a write before the next power-up
)

// ErrStale: firmware 5.0.0 to 5.4.2 as a smart card does not tell what became of a write after an earlier one, until it is plugged in
// again. It comes with ErrUnsettled.
var ErrStale = errors.New("the key does not tell by its smart-card interface before it is plugged in again")

// writable is nil, or says that this key cannot be changed this way.
func (c *cardCarrier) writable() error {
	if !c.nfc && cardReadOnly.has(c.version) {
		return &UnsupportedError{What: "writing slots by a key's smart-card interface", Needs: "5.3.0 or newer, or 3.x (use the keyboard interface)", Have: c.version}
	}
	return nil
}

// Writable is nil, or an *UnsupportedError: slots of this key cannot be written the way it was opened.
func (s *Session) Writable() error {
	if c, ok := s.carrier.(*cardCarrier); ok {
		return c.writable()
	}
	return nil
}

// Answers is nil, or ErrNeedsHID: this key answers no challenge the way it was opened.
func (s *Session) Answers() error {
	if c, ok := s.carrier.(*cardCarrier); ok && !c.nfc {
		return ErrNeedsHID
	}
	return nil
}

// change implements carrier. From the moment of sending on, the end of ctx is not looked at: the key completes the write.
func (c *cardCarrier) change(ctx context.Context, cmd Command, payload []byte) (Status, error) {
	if cmd == CommandMode && c.version.Major != neoMajor || cmd == CommandSetDevice {
		return c.status, c.manage(ctx, cmd, payload)
	}
	if err := c.writable(); err != nil {
		return c.status, err
	}
	before, err := c.refresh(ctx)
	if err != nil {
		return before, err
	}
	if err := ctx.Err(); err != nil {
		return before, err
	}
	raw := c.raw
	ctx = context.WithoutCancel(ctx)
	answer, err := c.ch.Send(ctx, apdu.Command{Instruction: insCommand, P1: byte(cmd), Data: payload, Expect: apdu.Any})
	var sw apdu.Status
	if err != nil && !errors.As(err, &sw) {
		return before, fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	if sw != 0 || !c.take(answer) { // some firmware answers a write with nothing
		if _, err := c.refresh(ctx); err != nil {
			return before, fmt.Errorf("%w: %w", ErrUnsettled, err)
		}
	}
	return before, c.judge(before, raw, cmd, payload, sw)
}

// judge says what became of a write, by the programming sequence: a warning or an error beside a sequence that moved is a
// write nevertheless. sw is 0 without one. Where the status is stale, a sequence of 0 after another one is a write too; after
// such a write, 0 and 0 says nothing, unless a slot was filled or emptied. raw is the touch bits before, as the key said them.
func (c *cardCarrier) judge(before Status, raw uint16, cmd Command, payload []byte, sw apdu.Status) error {
	after, stale := c.status, cardStale.has(c.version)
	switch {
	case Accepted(before, after), stale && after.ProgSeq == 0 && (before.ProgSeq > 0 || raw&touchAnySlot != c.raw&touchAnySlot):
		if stale {
			c.overlay.note(before, cmd, payload)
			c.status = c.overlay.on(after)
		}
		return nil
	case stale && after.ProgSeq == 0 && sw == 0:
		return fmt.Errorf("%w: %w (firmware %v)", ErrUnsettled, ErrStale, c.version)
	case after.ProgSeq != before.ProgSeq:
		return fmt.Errorf("%w: %w", ErrUnsettled, errOtherWriter)
	case sw == 0:
		return errRefused
	}
	return fmt.Errorf("%w: %w", errRefused, sw)
}

// manage changes settings of the whole key, which the Management application takes over. Success is the status word's alone;
// a key that restarts at once may not come to answer.
func (c *cardCarrier) manage(ctx context.Context, cmd Command, payload []byte) error {
	if err := c.enter(ctx, managementApplet); err != nil {
		return err
	}
	a, o := apdu.Command{Instruction: insWriteInfo, Data: payload}, opDevice
	if cmd == CommandMode {
		a.Instruction, a.P1, o = insDeviceMode, byte(cmd), opMode
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	_, err := c.ch.Send(context.WithoutCancel(ctx), a)
	var sw apdu.Status
	switch {
	case errors.As(err, &sw):
		return fmt.Errorf("%w (%w)", newRejected(o, 0, c.status, false, false), sw)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return nil
}

// overlay is what this session knows about slots of a key whose status does not show its own writes.
type overlay struct {
	known, used uint16 // bits of Status.Touch: known holds those that used is right about
}

const touchSlotBits = touchConfigured | touchTouch

// on is a status with what is known better.
func (o overlay) on(st Status) Status {
	st.Touch = st.Touch&^o.known | o.used&o.known
	return st
}

// note takes over what an accepted write did.
func (o *overlay) note(before Status, cmd Command, payload []byte) {
	shift := 0
	switch cmd {
	case CommandSwap:
		one := before.Touch & touchSlotBits
		two := before.Touch >> 1 & touchSlotBits
		o.known, o.used = touchSlotBits|touchSlotBits<<1, one<<1|two
		return
	case CommandWrite2:
		shift = 1
	case CommandWrite1:
	default:
		return
	}
	bits := uint16(touchSlotBits) << shift
	o.known |= bits
	o.used &^= bits
	if !bytes.Equal(payload[:ConfigLen], make([]byte, ConfigLen)) {
		o.used |= touchConfigured << shift
		asks := TicketFlag(payload[offTicket])&OathHOTP != 0 && ConfigFlag(payload[offConfig])&ChalYubico != 0
		if !asks || ConfigFlag(payload[offConfig])&ChalBtnTrig != 0 {
			o.used |= touchTouch << shift
		}
	}
}
