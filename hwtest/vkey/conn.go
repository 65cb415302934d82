package vkey

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/usbhid"
)

// errClosed is what a Conn answers after Close.
var errClosed = errors.New("connection is closed")

// Conn is the one handle a host holds on a Key. Unlike a usbhid.Device in general it may be used from any goroutine.
type Conn struct {
	k      *Key
	gone   <-chan struct{} // of the power-up it was opened in
	done   chan struct{}   // closed by Close
	wake   chan struct{}   // holds a token when input has come
	input  []usbhid.Report // guarded by k.mu, like closed
	closed bool
}

var _ usbhid.Device = (*Conn)(nil)

// Open takes the key. Errors: usbhid.ErrBusy while another Conn is open, usbhid.ErrGone, ErrNoOTP.
func (k *Key) Open() (*Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.reachable(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if k.conn != nil {
		return nil, fmt.Errorf("open: %w", usbhid.ErrBusy)
	}
	k.conn = &Conn{k: k, gone: k.gone, done: make(chan struct{}), wake: make(chan struct{}, 1)}
	return k.conn, nil
}

// Held reports whether a Conn is open.
func (k *Key) Held() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.conn != nil
}

// GetFeature reads the current feature report.
func (c *Conn) GetFeature(ctx context.Context) (usbhid.Report, error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return usbhid.Report{}, fmt.Errorf("get report: %w", err)
	}
	return c.k.get()
}

// SetFeature writes one feature report.
func (c *Conn) SetFeature(ctx context.Context, r usbhid.Report) error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return fmt.Errorf("set report: %w", err)
	}
	return c.k.set(r)
}

// ReadInput returns the next keyboard report typed since Open, waiting until ctx is done.
func (c *Conn) ReadInput(ctx context.Context) (usbhid.Report, error) {
	for {
		r, ok, err := c.pop(ctx)
		if err != nil {
			return usbhid.Report{}, fmt.Errorf("read input: %w", err)
		}
		if ok {
			return r, nil
		}
		select {
		case <-c.wake:
		case <-c.gone:
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

// Close gives the key back. What was typed and not read is lost. It may be called more than once.
func (c *Conn) Close() error {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	close(c.done)
	if c.k.conn == c {
		c.k.conn = nil
	}
	return nil
}

func (c *Conn) usable(ctx context.Context) error {
	if c.closed {
		return errClosed
	}
	select {
	case <-c.gone:
		return usbhid.ErrGone
	default:
		return ctx.Err()
	}
}

func (c *Conn) pop(ctx context.Context) (r usbhid.Report, ok bool, err error) {
	c.k.mu.Lock()
	defer c.k.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return r, false, err
	}
	if len(c.input) == 0 {
		return r, false, nil
	}
	r, c.input = c.input[0], c.input[1:]
	return r, true, nil
}

// push is called with the key locked.
func (c *Conn) push(r usbhid.Report) {
	c.input = append(c.input, r)
	select {
	case c.wake <- struct{}{}:
	default:
	}
}
