package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// A smart card has a socket of its own. The server says hello with a code; then commands and answers, each length BE[2] ‖
// bytes, take turns. A key that leaves is a connection that ends.

// maxCommand is what a length can say.
const maxCommand = 1<<16 - 1

// ServeCard gives the key's smart card to one connection at a time until ctx is done, which is no error. The card is reset
// before and after each. A command that hangs is waited for: unplug the key first. A pcscd that has the key in a reader, too, and
// powers that off when nobody uses it, does not disturb.
func ServeCard(ctx context.Context, l net.Listener, k *vkey.Key) error {
	return serveCards(ctx, l, k, releaseWait)
}

func serveCards(ctx context.Context, l net.Listener, k *vkey.Key, patience time.Duration) error {
	free := make(chan struct{}, 1)
	free <- struct{}{}
	return accept(ctx, l, func(ctx context.Context, conn net.Conn) {
		if !take(ctx, free, patience) {
			_, _ = conn.Write([]byte{byte(codeBusy)}) // the client sees the connection close in any case
			return
		}
		defer func() { free <- struct{}{} }()
		serveCard(conn, k.Beside(), k.Gone())
	})
}

func serveCard(conn net.Conn, card *vkey.Card, gone <-chan struct{}) {
	hello := codeOK
	if !card.Present() {
		hello = codeNoCard
		select {
		case <-gone:
			hello = codeGone
		default:
		}
	}
	if _, err := conn.Write([]byte{byte(hello)}); err != nil || hello != codeOK {
		return
	}
	card.Reset()
	defer card.Reset()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-gone:
			conn.Close()
		case <-ended:
		}
	}()
	for {
		command, err := readBlock(conn)
		if err != nil {
			return
		}
		answer, err := card.Transmit(command)
		if err != nil || writeBlock(conn, answer) != nil {
			return
		}
	}
}

func readBlock(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func writeBlock(w io.Writer, b []byte) error {
	if len(b) > maxCommand {
		return fmt.Errorf("%w: %d bytes", errMalformed, len(b))
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// Card is the smart card of a key in another process.
type Card struct {
	conn net.Conn
	mu   sync.Mutex
}

// DialCard takes the card served at the address. Errors: usbhid.ErrBusy while another client has it, usbhid.ErrGone,
// vkey.ErrNoCard.
func DialCard(ctx context.Context, network, address string) (*Card, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, fmt.Errorf("dial card: %w", err)
	}
	c := &Card{conn: conn}
	var hello [1]byte
	err = c.during(ctx, func() error {
		_, err := io.ReadFull(conn, hello[:])
		return err
	})
	if err == nil {
		err = code(hello[0]).err()
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("dial card: %w", err)
	}
	return c, nil
}

// Transmit runs one command. A context that ends meanwhile ends the connection, too. Error: usbhid.ErrGone.
func (c *Card) Transmit(ctx context.Context, command []byte) (answer []byte, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.during(ctx, func() error {
		if err := writeBlock(c.conn, command); err != nil {
			return err
		}
		answer, err = readBlock(c.conn)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("transmit: %w", err)
	}
	return answer, nil
}

// during hangs up when ctx ends before f does.
func (c *Card) during(ctx context.Context, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { c.conn.Close() })
	err := f()
	if !stop() {
		return ctx.Err()
	}
	if err != nil && !errors.Is(err, errMalformed) {
		return fmt.Errorf("%w: %w", usbhid.ErrGone, err)
	}
	return err
}

// Close lets go of the card.
func (c *Card) Close() error { return c.conn.Close() }
