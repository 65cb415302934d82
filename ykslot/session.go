package ykslot

import (
	"context"
	"fmt"
)

// Session is one key's OTP interface in use. It belongs to one goroutine and assumes that nobody else sends reports to
// the key meanwhile.
//
// A cancelled context is noticed between reports. A frame that was not sent to its end is dropped by a reset report and
// has changed nothing; so is the rest of an unread answer. After the last report of a write the error wraps
// ErrUnsettled: the key completes it by itself. The session stays usable and catches up at its next call.
type Session struct {
	carrier carrier
}

// Open waits until the key is at rest and reads its status. A nil pause waits in real time. On a NEO (firmware 3) it
// first sends a scan map that the key refuses, because its status may be stale. It wraps ErrNotAnswering if the key does
// not come to rest, and the transport's errors.
func Open(ctx context.Context, dev FeatureReporter, pause Pause) (*Session, error) {
	if pause == nil {
		pause = sleep
	}
	c := &reports{dev: dev, pause: pause}
	if err := c.settle(ctx); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	if err := c.freshen(ctx); err != nil {
		return nil, fmt.Errorf("open key: %w", err)
	}
	return &Session{c}, nil
}

// Status is the status the session saw last; it transfers nothing.
func (s *Session) Status() Status { return s.carrier.last() }

// version is the key's firmware.
func (s *Session) version() Version { return s.carrier.last().Version }

// ReadStatus reads the status now.
func (s *Session) ReadStatus(ctx context.Context) (Status, error) {
	st, err := s.carrier.refresh(ctx)
	if err != nil {
		return Status{}, fmt.Errorf("read status: %w", err)
	}
	return st, nil
}
