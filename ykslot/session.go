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
	wakeBudget   = 4 * time.Second         // until the first status: the interface is reclaimed for about 3 s
	silentBudget = 63 * time.Millisecond   // in rest after a question: six polls, then there is no answer
)

// refreshPayload fills the scan map command that a NEO refuses, which refreshes its stale status: 51 bytes of 63. Source:
// reference yubikey-otp.md §1.7.
const (
	refreshByte = 0x63
	refreshLen  = 51
)

// Session is one key's OTP interface in use. It belongs to one goroutine and assumes that nobody else sends reports to
// the key meanwhile.
//
// A cancelled context is noticed between reports. A frame that was not sent to its end is dropped by a reset report and
// has changed nothing; so is the rest of an unread answer. After the last report of a write the error wraps
// ErrUnsettled: the key completes it by itself. The session stays usable and catches up at its next call.
type Session struct {
	dev    FeatureReporter
	pause  Pause
	status Status
	// rest is true while the last transfer was a status report: the next command may start without reading again.
	rest bool
}

// Open waits until the key is at rest and reads its status. A nil pause waits in real time. On a NEO (firmware 3) it
// first sends a scan map that the key refuses, because its status may be stale. It wraps ErrNotAnswering if the key does
// not come to rest, and the transport's errors.
func Open(ctx context.Context, dev FeatureReporter, pause Pause) (*Session, error) {
	if pause == nil {
		pause = sleep
	}
	s := &Session{dev: dev, pause: pause}
	if err := s.settle(ctx, wakeBudget); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	if s.status.Version.Major != 3 {
		return s, nil
	}
	var payload [PayloadLen]byte
	for i := range refreshLen {
		payload[i] = refreshByte
	}
	if err := s.send(ctx, CommandScanMap, &payload); err != nil {
		return nil, fmt.Errorf("open key: refresh status: %w", err)
	}
	if err := s.settle(ctx, busyBudget); err != nil {
		return nil, fmt.Errorf("open key: refresh status: %w", err)
	}
	return s, nil
}

// Status is the status the session saw last; it transfers nothing.
func (s *Session) Status() Status { return s.status }

// ReadStatus reads the status now.
func (s *Session) ReadStatus(ctx context.Context) (Status, error) {
	if err := s.settle(ctx, busyBudget); err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	return s.status, nil
}

// poll reads reports, 1, 2, 4 … ms apart, until take says it is enough; take may end it with an error. The budget counts
// the pauses: when it is used up, the error is ErrNotAnswering.
func (s *Session) poll(ctx context.Context, budget time.Duration, take func(Report) (bool, error)) error {
	for wait, waited := partGap, time.Duration(0); ; wait = min(2*wait, pollCap) {
		r, err := s.read(ctx)
		if err != nil {
			return err
		}
		if enough, err := take(r); enough || err != nil {
			return err
		}
		if waited >= budget {
			return ErrNotAnswering
		}
		if err := s.pause(ctx, wait); err != nil {
			return err
		}
		waited += wait
	}
}

// read is one GET. A status report is remembered.
func (s *Session) read(ctx context.Context) (Report, error) {
	s.rest = false
	r, err := s.dev.GetFeature(ctx)
	if err != nil {
		return r, err
	}
	if st, ok := ParseStatus(r); ok && st.Version.Major != 0 {
		s.status, s.rest = st, true
	}
	return r, nil
}

// write is one SET and the gap after it.
func (s *Session) write(ctx context.Context, r Report) error {
	s.rest = false
	if err := s.dev.SetFeature(ctx, r); err != nil {
		return err
	}
	return s.pause(ctx, partGap)
}

// settle reads until a status report, and drops an answer that somebody left unread or a wait for a touch that nobody
// attends any more. All zeros are no status: the interface is not back yet.
func (s *Session) settle(ctx context.Context, budget time.Duration) error {
	return s.poll(ctx, budget, func(r Report) (bool, error) {
		if f := r[offFlag]; f&flagWrite == 0 && f&(flagData|flagTouch) != 0 {
			return false, s.write(ctx, resetReport)
		}
		return s.rest, nil
	})
}

// abandon sends the reset report, also when ctx is done, as the last thing before an error is returned.
func (s *Session) abandon(ctx context.Context, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if err := s.write(ctx, resetReport); err != nil && !errors.Is(cause, err) {
		return fmt.Errorf("%w (and reset: %w)", cause, err)
	}
	return cause
}

// errOtherWriter: the programming sequence moved under us.
var errOtherWriter = fmt.Errorf("%w: another program writes to it too; close that program and try again", ErrProtocol)

// send transfers a frame. An error that does not wrap ErrUnsettled means that the command was not executed.
func (s *Session) send(ctx context.Context, cmd Command, payload *[PayloadLen]byte) error {
	if !s.rest {
		if err := s.settle(ctx, busyBudget); err != nil {
			return err
		}
	}
	seq := s.status.ProgSeq
	reports := Reports(cmd, payload)
	defer clear(reports)
	for i, r := range reports {
		if i > 0 {
			err := s.poll(ctx, busyBudget, consumed)
			if err == nil && s.status.ProgSeq != seq {
				err = errOtherWriter // its parts are in our frame
			}
			if err != nil {
				return s.abandon(ctx, err)
			}
		}
		err := s.write(ctx, r)
		switch {
		case err == nil:
		case i == len(reports)-1:
			return fmt.Errorf("%w: %w", ErrUnsettled, err)
		default:
			return s.abandon(ctx, err)
		}
	}
	return nil
}

// consumed is true when the device has taken the report before.
func consumed(r Report) (bool, error) { return r[offFlag]&flagWrite == 0, nil }

// errNoAnswer: the key stayed at rest instead of answering a question.
var errNoAnswer = errors.New("the key gave no answer")

// ask sends a question and reads the answer to its end marker, then resets, so that the next report is a status again.
func (s *Session) ask(ctx context.Context, cmd Command, payload *[PayloadLen]byte) (*Response, error) {
	if err := s.send(ctx, cmd, payload); err != nil {
		return nil, err
	}
	a := new(Response)
	wait, silent, busy := partGap, time.Duration(0), time.Duration(0)
	for {
		r, err := s.read(ctx)
		if err != nil {
			return nil, s.abandon(ctx, err)
		}
		switch f := r[offFlag]; {
		case f&flagWrite == 0 && f&flagData != 0:
			end, err := a.Add(r)
			if end {
				err = s.write(context.WithoutCancel(ctx), resetReport)
				return a, err
			}
			if err != nil {
				return nil, s.abandon(ctx, err)
			}
			continue
		case f != 0:
			busy += wait
		case len(a.data) > 0:
			return nil, fmt.Errorf("%w: response ends without its marker", ErrProtocol)
		default:
			silent += wait
		}
		switch {
		case silent > silentBudget:
			return nil, errNoAnswer
		case busy > busyBudget:
			return nil, s.abandon(ctx, ErrNotAnswering)
		}
		if err := s.pause(ctx, wait); err != nil {
			return nil, s.abandon(ctx, err)
		}
		wait = min(2*wait, pollCap)
	}
}
