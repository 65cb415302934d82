package ykslot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// carrier takes commands to one key and brings back what the key says. There are two kinds: reports, the feature reports of a
// HID interface, and the commands of a smart card. What a command means, and on which firmware, is the Session's business.
type carrier interface {
	// last is the status seen last; it transfers nothing.
	last() Status
	// refresh brings the key to rest and reads its status.
	refresh(ctx context.Context) (Status, error)
	// ask puts a question. The answer has been checked and has neither CRC nor padding. errNoAnswer: the key is at rest and
	// said nothing.
	ask(ctx context.Context, q question) ([]byte, error)
	// change runs a command that is answered by a status, and judges it: nil, errRefused when the key changed nothing, an
	// error that wraps ErrUnsettled when the outcome was not seen; after any other error the command was not executed. before
	// is the status that the verdict was measured against.
	change(ctx context.Context, cmd Command, payload []byte) (before Status, err error)
}

// question is a command that is answered with data.
type question struct {
	cmd     Command
	payload []byte // at most PayloadLen
	answer  int    // its length in bytes, or counted
	// touch is called while the key waits for a touch, with the time it will still wait; an error ends the wait. Without it
	// a key that waits is let go with ErrTouchNeeded.
	touch func(left time.Duration) error
}

// counted is the length of an answer whose first byte, which is not handed on, counts those that follow.
const counted = -1

// errNoAnswer: the key stayed at rest instead of answering a question.
var errNoAnswer = errors.New("the key gave no answer")

// errRefused: the programming sequence stands where it stood before the write.
var errRefused = errors.New("refused")

// errOtherWriter: the programming sequence moved under us.
var errOtherWriter = fmt.Errorf("%w: another program writes to it too; close that program and try again", ErrProtocol)
