package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// maxTyped bounds a line from standard input, in bytes; an OTP has 64 characters at most.
const maxTyped = 4096

// confirm asks before something that cannot be undone. yes is the flag --yes. Without a terminal nothing is asked.
func (a *app) confirm(ctx context.Context, yes bool, what string) error {
	if yes {
		return nil
	}
	if !a.stdinTTY {
		return problemf(exitRefused, "%s needs a yes, and nobody can be asked", what).hint("add --yes")
	}
	fmt.Fprintf(a.stderr, "%s? [y/N] ", what)
	answer, err := a.readLine(ctx)
	if err != nil {
		return err
	}
	switch strings.ToLower(answer) {
	case "y", "yes":
		return nil
	}
	return problemf(exitRefused, "not confirmed; nothing was changed")
}

// askOTP reads one OTP: from the terminal with echo off, otherwise the first line of standard input.
func (a *app) askOTP(ctx context.Context, prompt string) (string, error) {
	if a.stdinTTY {
		fmt.Fprint(a.stderr, prompt+" ")
		text, err := a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
		if err != nil {
			return "", err
		}
		if strings.TrimSpace(text) == "" {
			return "", usagef("no one-time password was typed")
		}
		return text, nil
	}
	text, err := a.readLine(ctx)
	if err != nil {
		return "", err
	}
	if strings.TrimSpace(text) == "" {
		return "", usagef("standard input is empty: it should hold one one-time password").
			hint("example: tokendesk verify < otp.txt")
	}
	return text, nil
}

// readLine reads one line of standard input. When ctx ends first, the reader is left behind.
func (a *app) readLine(ctx context.Context) (string, error) {
	line, err := until(ctx, func() (string, error) {
		return bufio.NewReader(io.LimitReader(a.stdin, maxTyped)).ReadString('\n')
	})
	if err != nil && err != io.EOF {
		return "", fmt.Errorf("read standard input: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// sharedSecret reads one from a file, or for "-" from the terminal or standard input. "" is none.
func (a *app) sharedSecret(ctx context.Context, file, what string) (secret.Bytes, error) {
	var text string
	var err error
	switch {
	case file == "":
		return secret.Bytes{}, nil
	case file == "-" && a.stdinTTY:
		fmt.Fprintf(a.stderr, "%s (it is not shown): ", what)
		text, err = a.readSecret(ctx)
		fmt.Fprintln(a.stderr)
	case file == "-":
		text, err = a.readLine(ctx)
	default:
		text, err = a.firstLine(ctx, file)
	}
	if err == nil && text == "" {
		err = usagef("%s: it is empty", what)
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return secret.New([]byte(text)), nil
}

// newSecret is sharedSecret for a secret that is not in use yet: check looks at it, unless it is nil, and at a terminal it is typed twice.
func (a *app) newSecret(ctx context.Context, file, what string, check func(secret.Bytes) error) (secret.Bytes, error) {
	first, err := a.sharedSecret(ctx, file, what)
	if err == nil && check != nil {
		err = check(first)
	}
	if err == nil && file == "-" && a.stdinTTY {
		var again secret.Bytes
		again, err = a.sharedSecret(ctx, file, "Once more")
		defer again.Destroy()
		if err == nil && !again.Equal(first) {
			err = usagef("the two that were typed differ; nothing was changed")
		}
	}
	if err != nil {
		first.Destroy()
		return secret.Bytes{}, err
	}
	return first, nil
}
