package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/ykslot"
)

var (
	_ provision.Device     = typedKey{}
	_ provision.SecondHand = typedKey{}
)

// typedKey is a key that is written as a smart card: its presses come from where people type.
type typedKey struct {
	*ykslot.Session
	presses *typedPresses
}

// SecondHand implements provision.SecondHand.
func (typedKey) SecondHand() {}

// Press implements provision.Device.
func (k typedKey) Press(ctx context.Context, _ int) (string, error) { return k.presses.next(ctx) }

// DropTyped implements provision.Device.
func (k typedKey) DropTyped(context.Context) error {
	k.presses.drop()
	return nil
}

// typedPresses reads what a key types as a keyboard: from the terminal, unseen, or a line of standard input. Anything typed there counts as a
// press, and proves as much: who types it must have it from the key.
type typedPresses struct {
	a    *app
	read *bufio.Reader // of standard input, when it is no terminal
	told bool
}

// next waits for a line.
func (p *typedPresses) next(ctx context.Context) (string, error) {
	if !p.told {
		p.told = true
		p.a.say("note: the key is reached as a smart card: keep this window in front, what it types is read here, unseen")
	}
	if p.a.stdinTTY {
		text, err := p.a.readSecret(ctx)
		if err == nil || ctx.Err() != nil {
			return strings.TrimSpace(text), errors.Join(err, ctx.Err())
		}
		return "", err
	}
	if p.read == nil {
		p.read = bufio.NewReader(p.a.stdin)
	}
	line, err := until(ctx, func() (string, error) { return boundedLine(p.read) })
	switch {
	case err == io.EOF && line == "":
		return "", problemf(exitVerify, "a key that is reached as a smart card types its one-time password as a keyboard, and nobody types here").
			hint("run this in a terminal, or let the first good one-time password at the server be the proof: --verify none")
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// boundedLine reads a line of at most maxTyped bytes.
func boundedLine(r *bufio.Reader) (string, error) {
	var line strings.Builder
	for line.Len() < maxTyped {
		b, err := r.ReadByte()
		if err != nil {
			return line.String(), err
		}
		if b == '\n' {
			return line.String(), nil
		}
		line.WriteByte(b)
	}
	return "", fmt.Errorf("more than %d bytes without an end of line", maxTyped)
}

// drop forgets what was typed at the terminal and not read: turning its echo on again does that.
func (p *typedPresses) drop() {
	if p.a.stdinTTY && p.a.hush != nil {
		p.a.hush()()
	}
}
