package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// answerTime is how long a report may take. Keys answer at once, but on a busy machine the process that has them may stand still for seconds.
const answerTime = time.Minute

var errClosed = errors.New("connection is closed")

// Conn is a key in another process.
type Conn struct {
	// PID, Version and Serial describe the key.
	PID     uint16
	Version vkey.Version
	Serial  uint32

	conn   net.Conn
	mu     sync.Mutex   // one GetFeature or SetFeature at a time
	answer chan message // from the reader
	done   chan struct{}
	closed sync.Once

	inputMu sync.Mutex
	input   []usbhid.Report
	wake    chan struct{}
	lost    chan struct{} // closed when the connection ended
}

var _ usbhid.Device = (*Conn)(nil)

// Dial takes the key served at the address. Errors: usbhid.ErrBusy while another client has it, usbhid.ErrGone,
// vkey.ErrNoOTP.
func Dial(ctx context.Context, network, address string) (*Conn, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dial key: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { nc.Close() })
	c := &Conn{conn: nc, answer: make(chan message, 1), done: make(chan struct{}), wake: make(chan struct{}, 1), lost: make(chan struct{})}
	err = c.hello()
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("dial key: %w", err)
	}
	go c.receive()
	return c, nil
}

func (c *Conn) hello() error {
	m, err := readMessage(c.conn)
	if err != nil {
		return err
	}
	if m.kind != msgHello || len(m.body) == 0 {
		return errMalformed
	}
	if err := code(m.body[0]).err(); err != nil {
		return err
	}
	if len(m.body) != 10 {
		return errMalformed
	}
	c.PID = binary.BigEndian.Uint16(m.body[1:])
	c.Version = vkey.Version{Major: m.body[3], Minor: m.body[4], Build: m.body[5]}
	c.Serial = binary.BigEndian.Uint32(m.body[6:])
	return nil
}

// receive sorts messages into answers and keyboard reports until the connection ends.
func (c *Conn) receive() {
	defer close(c.lost)
	for {
		m, err := readMessage(c.conn)
		switch {
		case err != nil:
			return
		case m.kind != msgInput:
			select {
			case c.answer <- m:
			case <-c.done:
				return
			}
		case len(m.body) == usbhid.ReportLen:
			c.inputMu.Lock()
			c.input = append(c.input, usbhid.Report(m.body))
			c.inputMu.Unlock()
			select {
			case c.wake <- struct{}{}:
			default:
			}
		}
	}
}

// GetFeature reads the current feature report.
func (c *Conn) GetFeature(ctx context.Context) (usbhid.Report, error) {
	body, err := c.call(ctx, msgGet, nil)
	if err != nil {
		return usbhid.Report{}, fmt.Errorf("get report: %w", err)
	}
	if len(body) != usbhid.ReportLen {
		return usbhid.Report{}, fmt.Errorf("get report: %w", errMalformed)
	}
	return usbhid.Report(body), nil
}

// SetFeature writes one feature report.
func (c *Conn) SetFeature(ctx context.Context, r usbhid.Report) error {
	if _, err := c.call(ctx, msgSet, r[:]); err != nil {
		return fmt.Errorf("set report: %w", err)
	}
	return nil
}

// call sends a request and waits for its answer, answerTime at most: ctx counts only before, as usbhid.Device says.
func (c *Conn) call(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.usable(ctx); err != nil {
		return nil, err
	}
	if err := writeMessage(c.conn, kind, body...); err != nil {
		return nil, c.why(err)
	}
	timer := time.NewTimer(answerTime)
	defer timer.Stop()
	var m message
	select {
	case m = <-c.answer:
	case <-c.lost:
		// The answer may have come just before the end.
		select {
		case m = <-c.answer:
		default:
			return nil, c.why(usbhid.ErrGone)
		}
	case <-timer.C:
		c.conn.Close() // a late answer must not be taken for the next one
		return nil, usbhid.ErrTimeout
	}
	if m.kind != kind || len(m.body) == 0 {
		return nil, errMalformed
	}
	return m.body[1:], code(m.body[0]).err()
}

// ReadInput returns the next keyboard report, waiting until ctx is done.
func (c *Conn) ReadInput(ctx context.Context) (usbhid.Report, error) {
	for {
		if err := c.usable(ctx); err != nil {
			return usbhid.Report{}, fmt.Errorf("read input: %w", err)
		}
		if r, ok := c.pop(); ok {
			return r, nil
		}
		select {
		case <-c.wake:
		case <-c.lost:
		case <-c.done:
		case <-ctx.Done():
		}
	}
}

func (c *Conn) pop() (usbhid.Report, bool) {
	c.inputMu.Lock()
	defer c.inputMu.Unlock()
	if len(c.input) == 0 {
		return usbhid.Report{}, false
	}
	r := c.input[0]
	c.input = c.input[1:]
	return r, true
}

// Close lets go of the key. It may be called more than once.
func (c *Conn) Close() error {
	c.closed.Do(func() {
		close(c.done)
		c.conn.Close()
	})
	return nil
}

func (c *Conn) usable(ctx context.Context) error {
	select {
	case <-c.done:
		return errClosed
	default:
	}
	select {
	case <-c.lost:
		return usbhid.ErrGone
	default:
		return ctx.Err()
	}
}

// why is err, unless the connection was closed here; a server that is no longer there is a key that is gone.
func (c *Conn) why(err error) error {
	select {
	case <-c.done:
		return errClosed
	default:
		if errors.Is(err, usbhid.ErrGone) {
			return err
		}
		return fmt.Errorf("%w: %w", usbhid.ErrGone, err)
	}
}
