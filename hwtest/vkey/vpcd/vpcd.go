// Package vpcd puts the card of a virtual key into PC/SC: it speaks the protocol of vsmartcard's virtual reader, which
// pcscd loads, and runs a private pcscd with such readers for tests. Nothing of the system is used or touched: no service,
// no fixed port, no kernel module; any number run side by side.
//
//	d, err := vpcd.Start(ctx, t.TempDir(), key)   // one reader a key, "Yubico YubiKey OTP+FIDO+CCID 00 00"
//	defer d.Close()
//	cmd.Env = append(os.Environ(), d.Env())       // for any program that uses libpcsclite
//
// A program that asks libpcsclite for the first time in its life reads the variable then, and never again: in one process
// there is one pcscd.
package vpcd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// The protocol, reference yubikey-otp.md §9.1: length BE[2] ‖ bytes in both directions; a message of one byte from pcscd
// is one of these, any other a command for the card.
const (
	powerOff = 0
	powerOn  = 1
	reset    = 2
	getATR   = 4

	maxMessage = 0xffff
)

// errTooLong is an answer that no message can hold.
var errTooLong = errors.New("answer too long")

// Serve is the card behind one connection to pcscd's virtual reader. It returns when the reader hangs up, the key is
// unplugged or ctx is done, which is no error, and closes conn: to the reader the card is gone then.
func Serve(ctx context.Context, conn net.Conn, k *vkey.Key) error {
	defer conn.Close()
	card, gone := k.Card(), k.Gone()
	if !card.Present() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-gone:
		case <-ctx.Done():
		}
		conn.Close()
	}()
	for {
		hurry(conn)
		m, err := read(conn)
		if err != nil {
			return quiet(err)
		}
		answer, ok := handle(card, m)
		switch {
		case !ok:
			return nil
		case answer == nil:
			continue
		case len(answer) > maxMessage:
			return errTooLong
		}
		if err := write(conn, answer); err != nil {
			return quiet(err)
		}
	}
}

// handle is the answer to one message, nil where there is none; ok is false when the card left.
func handle(card *vkey.Card, m []byte) (answer []byte, ok bool) {
	if len(m) != 1 {
		answer, err := card.Transmit(m)
		return answer, err == nil
	}
	switch m[0] {
	case powerOff, powerOn, reset:
		card.Reset()
	case getATR:
		return card.ATR(), true
	}
	return nil, true
}

func read(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(head[:]))
	_, err := io.ReadFull(r, b)
	return b, err
}

func write(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	return err
}

// quiet is nil for the ways in which a connection ends.
func quiet(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) {
		return nil // the reader was killed
	}
	return fmt.Errorf("virtual reader: %w", err)
}
