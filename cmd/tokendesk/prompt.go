package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
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
