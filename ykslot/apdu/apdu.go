// Package apdu speaks ISO 7816-4 with a smart card: commands and answers, status words, long answers in parts, long
// commands in parts, and BER-TLV. It knows no applet and no reader: what carries the bytes is a Transmitter.
//
//	ch := &apdu.Channel{Card: card}
//	answer, err := ch.Select(ctx, aid)
//	data, err := ch.Send(ctx, apdu.Command{Instruction: 0x03, Expect: apdu.Any})
//	var sw apdu.Status
//	if errors.As(err, &sw) && sw == apdu.NotFound { … }
//
// A card is not trusted: answers are cut at MaxAnswer bytes and a fixed number of parts, and nothing a card sends makes
// this package panic or wait for ever. Secure messaging and logical channels are not done.
package apdu

import (
	"context"
	"errors"
	"fmt"
)

// Transmitter carries one command to a card and its answer back, with the two bytes of the status word at its end. It is
// used by one goroutine. A cancelled context is noticed before a command is sent; what was sent is waited for or given up,
// as the carrier says.
type Transmitter interface {
	Transmit(ctx context.Context, command []byte) (answer []byte, err error)
}

// TransmitFunc is a function as a Transmitter.
type TransmitFunc func(ctx context.Context, command []byte) ([]byte, error)

// Transmit implements Transmitter.
func (f TransmitFunc) Transmit(ctx context.Context, command []byte) ([]byte, error) {
	return f(ctx, command)
}

// Lengths. Source: ISO/IEC 7816-4 §5.1.
const (
	maxShortData = 255      // Lc of one byte
	maxShortWant = 256      // Le of one byte: 00
	maxLongData  = 65535    // Lc of three bytes
	maxLongWant  = 65536    // Le of three bytes: 00 00 00
	chainClass   = 0x10     // class bit: more parts of this command follow
	Any          = 256      // Command.Expect: whatever the card has, 256 bytes in one part
	MaxAnswer    = 64 << 10 // bytes of all parts of an answer
)

// maxParts bounds the parts of an answer, and with that what a card can make us ask for.
const maxParts = 1024

// ErrProtocol: an answer that is none: without a status word, too long, or without an end.
var ErrProtocol = errors.New("unexpected answer from the smart card")

// Command is a command APDU.
type Command struct {
	Class, Instruction, P1, P2 byte
	Data                       []byte // up to 65535 bytes
	Expect                     int    // Ne: bytes of answer, 0 for none, up to 65536
}

// short reports whether the short form can carry the command.
func (c Command) short() bool { return len(c.Data) <= maxShortData && c.Expect <= maxShortWant }

// AppendMarshal appends the bytes of the command: header, Lc and data if there are any, Le if an answer is expected. The
// short form is taken where it fits, otherwise the extended one.
func (c Command) AppendMarshal(b []byte) ([]byte, error) {
	if len(c.Data) > maxLongData || c.Expect < 0 || c.Expect > maxLongWant {
		return b, fmt.Errorf("command %02x: %d bytes of data and %d expected: too long", c.Instruction, len(c.Data), c.Expect)
	}
	b = append(b, c.Class, c.Instruction, c.P1, c.P2)
	if c.short() {
		if len(c.Data) > 0 {
			b = append(append(b, byte(len(c.Data))), c.Data...)
		}
		if c.Expect > 0 {
			b = append(b, byte(c.Expect)) // 256 is 00
		}
		return b, nil
	}
	b = append(b, 0) // marks the extended form, once
	if len(c.Data) > 0 {
		b = append(append(b, byte(len(c.Data)>>8), byte(len(c.Data))), c.Data...)
	}
	if c.Expect > 0 {
		b = append(b, byte(c.Expect>>8), byte(c.Expect)) // 65536 is 0000
	}
	return b, nil
}

// parse splits an answer into data and status word.
func parse(answer []byte) ([]byte, Status, error) {
	n := len(answer) - 2
	if n < 0 {
		return nil, 0, fmt.Errorf("%w: %d bytes, without a status word", ErrProtocol, len(answer))
	}
	return answer[:n], Status(answer[n])<<8 | Status(answer[n+1]), nil
}
