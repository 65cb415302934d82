package apdu

import (
	"context"
	"fmt"
)

// The instructions that every card has. Source: ISO/IEC 7816-4 §11.
const (
	insSelect      = 0xA4
	insGetResponse = 0xC0
	selectByName   = 0x04 // P1 of SELECT
)

// Channel sends commands to one card and puts together what goes in parts. It belongs to one goroutine.
type Channel struct {
	Card Transmitter
	// Extended sends long commands and asks for long answers in one piece; otherwise they are chained.
	Extended bool
	// Remaining is the instruction that fetches the rest of an answer; 0: GET RESPONSE (C0). The OATH applet has its own,
	// A5 (reference yubikey-otp.md §6.1).
	Remaining byte
}

// Select selects an applet by its AID and returns what it says about itself. The status NotFound says that the card does
// not have it, or has it switched off.
func (c *Channel) Select(ctx context.Context, aid []byte) ([]byte, error) {
	plain := *c
	plain.Remaining = 0 // the applet is not there yet
	return plain.Send(ctx, Command{Instruction: insSelect, P1: selectByName, Data: aid})
}

// Send sends a command and returns the data of all parts of the answer. The error is a Status if the card ended it with
// anything but OK; the data then are those that came with it. Other errors are the transmitter's or wrap ErrProtocol.
//
// A command in several parts that is interrupted is dropped by the card when the next one comes.
func (c *Channel) Send(ctx context.Context, cmd Command) ([]byte, error) {
	data, sw, err := c.sendParts(ctx, cmd)
	if err != nil {
		return nil, err
	}
	all := append([]byte(nil), data...)
	for part := 0; sw.sw1() == moreData; part++ {
		if part == maxParts || len(all) > MaxAnswer {
			return nil, fmt.Errorf("%w: an answer without an end", ErrProtocol)
		}
		rest := Command{Class: cmd.Class, Instruction: c.Remaining, Expect: Any}
		if rest.Instruction == 0 {
			rest.Instruction = insGetResponse
		}
		if n := int(sw.sw2()); n > 0 {
			rest.Expect = n
		}
		if data, sw, err = c.once(ctx, rest); err != nil {
			return nil, err
		}
		all = append(all, data...)
	}
	switch {
	case len(all) > MaxAnswer:
		return nil, fmt.Errorf("%w: an answer of more than %d bytes", ErrProtocol, MaxAnswer)
	case sw != OK:
		return all, sw
	}
	return all, nil
}

// sendParts sends a command whose data or answer is too long for the short form in parts of 255 bytes, unless the card
// takes the extended form. The answer is that to the last part.
func (c *Channel) sendParts(ctx context.Context, cmd Command) ([]byte, Status, error) {
	if !c.Extended {
		for len(cmd.Data) > maxShortData {
			part := cmd
			part.Class, part.Data, part.Expect = cmd.Class|chainClass, cmd.Data[:maxShortData], 0
			data, sw, err := c.once(ctx, part)
			if err != nil || sw != OK {
				return data, sw, err
			}
			cmd.Data = cmd.Data[maxShortData:]
		}
		cmd.Expect = min(cmd.Expect, maxShortWant)
	}
	return c.once(ctx, cmd)
}

// once is one command and one answer; asked again with the right length if that is all that was wrong.
func (c *Channel) once(ctx context.Context, cmd Command) ([]byte, Status, error) {
	data, sw, err := c.exchange(ctx, cmd)
	if err == nil && sw.sw1() == wrongExpect {
		cmd.Expect = int(sw.sw2())
		if cmd.Expect == 0 {
			cmd.Expect = maxShortWant
		}
		data, sw, err = c.exchange(ctx, cmd)
	}
	return data, sw, err
}

func (c *Channel) exchange(ctx context.Context, cmd Command) ([]byte, Status, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	b, err := cmd.AppendMarshal(make([]byte, 0, 9+len(cmd.Data)))
	if err != nil {
		return nil, 0, err
	}
	defer clear(b) // it may hold secrets
	answer, err := c.Card.Transmit(ctx, b)
	if err != nil {
		return nil, 0, err
	}
	return parse(answer)
}
