package ykslot

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// ask implements carrier. A key that waits for a touch does not say so here: it answers late.
func (c *cardCarrier) ask(ctx context.Context, q question) ([]byte, error) {
	cmd := apdu.Command{Instruction: insCommand, P1: byte(q.cmd), Data: q.payload, Expect: apdu.Any}
	in := otpApplet
	if q.cmd == CommandDeviceInfo {
		in, cmd.Instruction, cmd.P1, cmd.Data = managementApplet, insReadInfo, 0, nil
		if len(q.payload) > 0 {
			cmd.P1 = q.payload[0]
		}
	}
	if err := c.enter(ctx, in); err != nil {
		return nil, err
	}
	b, waited, err := c.wait(ctx, cmd, q.touch)
	var sw apdu.Status
	switch {
	case errors.As(err, &sw) && waited:
		return nil, fmt.Errorf("%w: %w", ErrTouchTimeout, sw)
	case errors.As(err, &sw):
		return nil, fmt.Errorf("%w: %w", errNoAnswer, sw)
	case err != nil:
		return nil, err
	case len(b) == 0: // a slot without a configuration: reference yubikey-otp.md §5
		return nil, errNoAnswer
	case q.answer == counted && int(b[0]) == len(b)-1:
		return b[1:], nil
	case q.answer != counted && len(b) == q.answer:
		return b, nil
	}
	return nil, fmt.Errorf("%w: %d bytes in answer to %v", ErrProtocol, len(b), q.cmd)
}

// What passes before a touch is asked for: a key answers without one in less. It waits for one as long as for a
// challenge by default: reference yubikey-otp.md §2 (crTimeout).
const (
	touchAfter = 500 * time.Millisecond
	touchLasts = 15 * time.Second
	touchTick  = time.Second
)

// wait sends a command whose answer may need a touch, and calls touch while there is none; waited says that it did. An error
// of touch gives the command up.
func (c *cardCarrier) wait(ctx context.Context, cmd apdu.Command, touch func(time.Duration) error) (b []byte, waited bool, err error) {
	if touch == nil {
		b, err = c.ch.Send(ctx, cmd)
		return b, false, err
	}
	type answer struct {
		b   []byte
		err error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan answer, 1)
	go func() {
		b, err := c.ch.Send(ctx, cmd)
		done <- answer{b, err}
	}()
	tick := time.NewTimer(touchAfter)
	defer tick.Stop()
	var stopped error
	for left := touchLasts; ; left = max(left-touchTick, 0) {
		select {
		case a := <-done:
			if stopped != nil {
				return nil, waited, stopped
			}
			return a.b, waited, a.err
		case <-tick.C:
			if waited = true; stopped == nil {
				if stopped = touch(left); stopped != nil {
					cancel(stopped)
				}
			}
			tick.Reset(touchTick)
		}
	}
}
