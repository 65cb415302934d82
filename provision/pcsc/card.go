package pcsc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

var _ apdu.Transmitter = (*Card)(nil)

// Card is a card that is held. It belongs to one goroutine.
type Card struct {
	reader  string
	answer  []byte
	service service
	handle  handle
	busy    chan struct{} // closed when a command that was given up has ended; nil: none was
	closed  bool
	after   func(time.Duration) <-chan time.Time // of the Service
}

// ATR is the card's answer to reset.
func (c *Card) ATR() []byte { return c.answer }

// Reader is the name of the card's reader.
func (c *Card) Reader() string { return c.reader }

// Port is where on USB the card's reader is: the numbers of libusb and the kernel. Not ok: the service does not tell.
func (c *Card) Port() (bus, address int, ok bool) { return c.handle.port() }

// Transmit implements apdu.Transmitter. PC/SC cannot end a command that a card works on: when ctx ends meanwhile, the
// command is given up, its answer is lost, and the card can only be closed. Errors wrap usbhid.ErrGone where the key was
// pulled out.
func (c *Card) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case c.closed, c.busy != nil:
		return nil, fmt.Errorf("smart card in %q: %w", c.reader, os.ErrClosed)
	}
	if ctx.Done() == nil { // it cannot end
		return c.transmit(command)
	}
	type result struct {
		answer []byte
		err    error
	}
	done, ended := make(chan result, 1), make(chan struct{})
	own := append([]byte(nil), command...) // the caller's may be cleared before a command that was given up has ended
	go func() {
		defer close(ended)
		defer clear(own)
		answer, err := c.transmit(own)
		done <- result{answer, err}
	}()
	select {
	case r := <-done:
		return r.answer, r.err
	case <-ctx.Done():
		c.busy = ended
		return nil, ctx.Err()
	}
}

func (c *Card) transmit(command []byte) ([]byte, error) {
	answer, err := c.handle.transmit(command)
	if err == nil && len(answer) == 0 { // seen of a card that left while the service had not noticed
		err = ErrNoCard
	}
	if err != nil {
		return nil, fmt.Errorf("smart card in %q: %w", c.reader, err)
	}
	return answer, nil
}

// giveUp is how long Close waits for a command that was given up. After that the service takes the card back when the
// program ends.
const giveUp = time.Second

// Close gives the card back. It may be called more than once.
func (c *Card) Close() error {
	if c.closed {
		return nil
	}
	c.closed = true
	if c.busy != nil {
		select {
		case <-c.busy:
		case <-c.after(giveUp):
			return nil
		}
	}
	return errors.Join(c.handle.disconnect(), c.service.release())
}
