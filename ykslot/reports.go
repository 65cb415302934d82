package ykslot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The device's pace. Source: reference yubikey-otp.md §1.5, §1.6; the reclaim wait is §1.7.
const (
	partGap      = time.Millisecond        // after each report: the device needs 0.4 ms to latch it
	pollCap      = 32 * time.Millisecond   // polls after 1, 2, 4 … ms, at most this far apart
	busyBudget   = 1150 * time.Millisecond // until flag 80 clears: slowest known write with 25 % on top
	wakeBudget   = 4 * time.Second         // until a status: the interface is reclaimed for about 3 s
	silentBudget = 63 * time.Millisecond   // in rest after a question: six polls, then there is no answer
	touchBudget  = 270 * time.Second       // while the key waits for a touch: its longest wait is 255 s
)

// reports is the carrier over the feature reports of a HID interface.
type reports struct {
	dev    FeatureReporter
	pause  Pause
	status Status
	// rest is true while the last transfer was a status report: the next command may start without reading again.
	rest bool
	// hides is true once the key was waited for in vain: see reclaimed.
	hides bool
}

func (c *reports) last() Status { return c.status }

func (c *reports) refresh(ctx context.Context) (Status, error) {
	err := c.settle(ctx)
	return c.status, err
}

// poll reads reports, 1, 2, 4 … ms apart, until take says it is enough; take may end it with an error. The budget counts
// the pauses: when it is used up, the error is ErrNotAnswering.
func (c *reports) poll(ctx context.Context, budget time.Duration, take func(Report) (bool, error)) error {
	for wait, waited := partGap, time.Duration(0); ; wait = min(2*wait, pollCap) {
		r, err := c.read(ctx)
		if err != nil {
			return err
		}
		if enough, err := take(r); enough || err != nil {
			return err
		}
		if waited >= budget {
			return ErrNotAnswering
		}
		if err := c.pause(ctx, wait); err != nil {
			return err
		}
		waited += wait
	}
}

// read is one GET. A status report is remembered.
func (c *reports) read(ctx context.Context) (Report, error) {
	c.rest = false
	r, err := c.dev.GetFeature(ctx)
	if err != nil {
		return r, err
	}
	if st, ok := ParseStatus(r); ok && st.Version.Major != 0 {
		c.status, c.rest = st, true
	}
	return r, nil
}

// write is one SET and the gap after it.
func (c *reports) write(ctx context.Context, r Report) error {
	c.rest = false
	if err := c.dev.SetFeature(ctx, r); err != nil {
		return err
	}
	return c.pause(ctx, partGap)
}

// settle reads until a status report, and drops an answer that somebody left unread or a wait for a touch that nobody
// attends any more. All zeros are no status: the interface is not back yet.
func (c *reports) settle(ctx context.Context) error {
	return c.poll(ctx, wakeBudget, func(r Report) (bool, error) {
		if f := r[offFlag]; f&flagWrite == 0 && f&(flagData|flagTouch) != 0 {
			return false, c.write(ctx, resetReport)
		}
		return c.rest, nil
	})
}

// abandon sends the reset report, also when ctx is done, as the last thing before an error is returned.
func (c *reports) abandon(ctx context.Context, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if err := c.write(ctx, resetReport); err != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w (and reset: %w)", cause, err)
	}
	return cause
}

// send transfers a frame. An error that does not wrap ErrUnsettled means that the command was not executed.
func (c *reports) send(ctx context.Context, cmd Command, payload []byte) error {
	if !c.rest {
		if err := c.settle(ctx); err != nil {
			return err
		}
	}
	seq := c.status.ProgSeq
	var full [PayloadLen]byte
	defer clear(full[:])
	copy(full[:], payload)
	parts := Reports(cmd, &full)
	defer clear(parts)
	for i, r := range parts {
		if i > 0 {
			err := c.poll(ctx, busyBudget, consumed)
			if err == nil && c.status.ProgSeq != seq {
				err = errOtherWriter // its parts are in our frame
			}
			if err != nil {
				return c.abandon(ctx, err)
			}
		}
		err := c.write(ctx, r)
		switch {
		case err == nil:
		case i == len(parts)-1:
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		default:
			return c.abandon(ctx, err)
		}
	}
	return nil
}

// consumed is true when the device has taken the report before.
func consumed(r Report) (bool, error) { return r[offFlag]&flagWrite == 0, nil }

// ask implements carrier. Silence is believed when the key does not ignore everything.
func (c *reports) ask(ctx context.Context, q question) ([]byte, error) {
	b, err := c.askOnce(ctx, q)
	if errors.Is(err, errNoAnswer) {
		again, werr := c.reclaimed(ctx)
		switch {
		case werr != nil:
			return nil, werr
		case again:
			return c.askOnce(ctx, q)
		}
	}
	return b, err
}

// askOnce sends a question and reads the answer to its end marker, then resets, so that the next report is a status again.
func (c *reports) askOnce(ctx context.Context, q question) ([]byte, error) {
	if err := c.send(ctx, q.cmd, q.payload); err != nil {
		return nil, err
	}
	a, err := c.answer(ctx, q.touch)
	switch {
	case err != nil:
		return nil, err
	case q.answer == counted:
		return a.Counted()
	}
	return a.Bytes(q.answer)
}

// answer reads an answer to its end marker.
func (c *reports) answer(ctx context.Context, touch func(time.Duration) error) (*Response, error) {
	a := new(Response)
	wait, silent, busy, waited := partGap, time.Duration(0), time.Duration(0), time.Duration(0)
	for {
		r, err := c.read(ctx)
		if err != nil {
			return nil, c.abandon(ctx, err)
		}
		switch f := r[offFlag]; {
		case f&flagWrite == 0 && f&flagData != 0:
			end, err := a.Add(r)
			if end {
				err = c.write(context.WithoutCancel(ctx), resetReport)
				return a, err
			}
			if err != nil {
				return nil, c.abandon(ctx, err)
			}
			continue
		case f&flagWrite == 0 && f&flagTouch != 0:
			if touch == nil {
				return nil, c.abandon(ctx, ErrTouchNeeded)
			}
			if err := touch(time.Duration(f&maskPart) * time.Second); err != nil {
				return nil, c.abandon(ctx, err)
			}
			waited += wait
		case f != 0:
			busy += wait
		case len(a.data) > 0:
			return nil, fmt.Errorf("%w: response ends without its marker", ErrProtocol)
		default:
			silent += wait
		}
		switch {
		case silent > silentBudget && waited > 0:
			return nil, ErrTouchTimeout
		case silent > silentBudget:
			return nil, errNoAnswer
		case busy > busyBudget, waited > touchBudget:
			return nil, c.abandon(ctx, ErrNotAnswering)
		}
		if err := c.pause(ctx, wait); err != nil {
			return nil, c.abandon(ctx, err)
		}
		wait = min(2*wait, pollCap)
	}
}

// change implements carrier. A refusal is believed when the key does not ignore everything; a command that it ignored is sent
// again. A sequence that moves after all may be ours, seen late, or another program's.
func (c *reports) change(ctx context.Context, cmd Command, payload []byte) (Status, error) {
	before, err := c.changeOnce(ctx, cmd, payload)
	if errors.Is(err, errRefused) {
		again, werr := c.reclaimed(ctx)
		switch {
		case werr == nil && again:
			return c.changeOnce(ctx, cmd, payload)
		case c.status.ProgSeq != before.ProgSeq:
			return before, fmt.Errorf("%w: %w", ErrUnsettled, errOtherWriter)
		case werr != nil:
			return before, werr
		}
	}
	return before, err
}

// changeOnce brings the key to rest, runs the command and waits for its outcome. The status is read anew even at rest: another
// program may have written since, and its step of the sequence must not be taken for ours or hide ours.
func (c *reports) changeOnce(ctx context.Context, cmd Command, payload []byte) (Status, error) {
	before, err := c.refresh(ctx)
	if err != nil {
		return before, err
	}
	if err := c.send(ctx, cmd, payload); err != nil {
		return before, err
	}
	if err = c.outcome(ctx, before); err != nil && !errors.Is(err, errRefused) {
		err = fmt.Errorf("%w: %w", ErrUnsettled, err)
	}
	return before, err
}

// outcome waits for the status after a write and judges it: nil, errRefused, or what kept it from being known. A refusal
// is read again, for silentBudget, before it is believed: a status that was merely late would deny a configuration that
// the slot holds. A sequence that moved otherwise than by this write alone proves nothing.
func (c *reports) outcome(ctx context.Context, old Status) error {
	err := c.poll(ctx, busyBudget, c.written)
	if err == nil && !Accepted(old, c.status) {
		err = c.poll(ctx, silentBudget, func(r Report) (bool, error) {
			done, err := c.written(r)
			return done && Accepted(old, c.status), err
		})
		switch {
		case !errors.Is(err, ErrNotAnswering) || !c.rest:
		case c.status.ProgSeq == old.ProgSeq:
			return errRefused
		default:
			return errOtherWriter
		}
	}
	if errors.Is(err, ErrProtocol) { // an answer that nobody asked for
		err = c.abandon(ctx, err)
	}
	return err
}

// written waits for the status after a write.
func (c *reports) written(r Report) (bool, error) {
	if f := r[offFlag]; f&flagWrite == 0 && f&flagData != 0 {
		return false, fmt.Errorf("%w: data in answer to a write", ErrProtocol)
	}
	return c.rest, nil
}
