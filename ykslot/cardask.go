package ykslot

import (
	"context"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// ErrNeedsHID: the key does this only by its keyboard interface.
var ErrNeedsHID = errors.New("a key on USB does this only by its keyboard interface, not as a smart card")

// ask implements carrier. On USB a challenge is answered by the keyboard interface alone; over NFC the key needs no touch
// beside being held to the reader. Source: reference yubikey-otp.md §3.4.
func (c *cardCarrier) ask(ctx context.Context, q question) ([]byte, error) {
	cmd := apdu.Command{Instruction: insCommand, P1: byte(q.cmd), Data: q.payload, Expect: apdu.Any}
	in := otpApplet
	switch q.cmd {
	case CommandDeviceInfo:
		in, cmd.Instruction, cmd.P1, cmd.Data = managementApplet, insReadInfo, 0, nil
		if len(q.payload) > 0 {
			cmd.P1 = q.payload[0]
		}
	case CommandHMAC1, CommandHMAC2, CommandYubico1, CommandYubico2:
		if !c.nfc {
			return nil, ErrNeedsHID
		}
	}
	if err := c.enter(ctx, in); err != nil {
		return nil, err
	}
	b, err := c.ch.Send(ctx, cmd)
	var sw apdu.Status
	switch {
	case errors.As(err, &sw):
		return nil, fmt.Errorf("%w: %w", errNoAnswer, sw)
	case err != nil:
		return nil, err
	case len(b) == 0: // such as a slot without a configuration: reference yubikey-otp.md §5
		return nil, errNoAnswer
	case q.answer == counted && int(b[0]) == len(b)-1:
		return b[1:], nil
	case q.answer != counted && len(b) == q.answer:
		return b, nil
	}
	return nil, fmt.Errorf("%w: %d bytes in answer to %v", ErrProtocol, len(b), q.cmd)
}
