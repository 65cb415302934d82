package socket

import (
	"errors"
	"fmt"
	"io"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// A message is length u8 ‖ type u8 ‖ body; the length counts type and body.
const (
	maxMessage = 64

	msgHello = 'H' // server: code ‖ PID BE[2] ‖ version[3] ‖ serial BE[4]; without the rest if code is not codeOK
	msgGet   = 'G' // client: empty; server: code ‖ report[8]
	msgSet   = 'S' // client: report[8]; server: code
	msgInput = 'I' // server, unasked: keyboard report[8]
)

// code stands for an error on the wire; the rest of the answer is its absence.
type code byte

const (
	codeOK code = iota
	codeGone
	codeBusy
	codeTimeout
	codeStall
	codeNoOTP
	codeNoCard
	codeOther
)

// errOther is an error of the key that has no code.
var errOther = errors.New("key answered an error")

// errMalformed is a message that is not of this protocol.
var errMalformed = errors.New("malformed message")

// causes pairs codes with the errors that both ends know.
var causes = []struct {
	code code
	err  error
}{
	{codeGone, usbhid.ErrGone},
	{codeBusy, usbhid.ErrBusy},
	{codeTimeout, usbhid.ErrTimeout},
	{codeStall, vkey.ErrStall},
	{codeNoOTP, vkey.ErrNoOTP},
	{codeNoCard, vkey.ErrNoCard},
}

func codeOf(err error) code {
	if err == nil {
		return codeOK
	}
	for _, c := range causes {
		if errors.Is(err, c.err) {
			return c.code
		}
	}
	return codeOther
}

func (c code) err() error {
	if c == codeOK {
		return nil
	}
	for _, k := range causes {
		if c == k.code {
			return k.err
		}
	}
	return errOther
}

// message is one message, taken apart.
type message struct {
	kind byte
	body []byte
}

func writeMessage(w io.Writer, kind byte, body ...byte) error {
	b := append([]byte{byte(1 + len(body)), kind}, body...)
	if len(b) > maxMessage {
		return fmt.Errorf("%w: %d bytes", errMalformed, len(b))
	}
	_, err := w.Write(b)
	return err
}

func readMessage(r io.Reader) (message, error) {
	var head [1]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	if head[0] == 0 || head[0] >= maxMessage {
		return message{}, fmt.Errorf("%w: length %d", errMalformed, head[0])
	}
	b := make([]byte, head[0])
	if _, err := io.ReadFull(r, b); err != nil {
		return message{}, err
	}
	return message{kind: b[0], body: b[1:]}, nil
}
