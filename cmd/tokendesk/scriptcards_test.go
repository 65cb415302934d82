package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/socket"
	"github.com/tokendesk/tokendesk/usbhid"
)

var _ cardBus = scriptBus{}

// cards is empty: there is no reader whose key is not found on USB.
func (scriptBus) cards(context.Context) ([]usbhid.Attached, error) { return nil, nil }

// openCard holds the card, and as the lock that a real bus takes, the keyboard interface.
func (b scriptBus) openCard(ctx context.Context, k usbhid.Attached) (heldCard, error) {
	if k.HIDRaw != "" {
		return nil, usbhid.Denied(k.HIDRaw)
	}
	lock, err := socket.Dial(ctx, "unix", filepath.Join(b.dir, k.Path+".key"))
	if err != nil && !errors.Is(err, vkey.ErrNoOTP) {
		return nil, err
	}
	card, err := socket.DialCard(ctx, "unix", filepath.Join(b.dir, k.Path+".card"))
	if err != nil {
		if lock != nil {
			err = errors.Join(err, lock.Close())
		}
		return nil, err
	}
	return scriptCard{card, lock}, nil
}

type scriptCard struct {
	*socket.Card
	lock *socket.Conn // nil: a key without keyboard interface
}

func (c scriptCard) Close() error {
	err := c.Card.Close()
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// scriptCardKey is the script command `card`:
//
//	card touched NAME           whenever a command of the card waits for a touch, somebody touches the key
//	card untouched NAME         nobody does, and the wait is over at once: so it is from the beginning
//	card accounts NAME          writes the accounts of the OATH application to stdout, one a line
//	card locked NAME            fails unless the OATH application has an access code
//	card ran NAME               writes how often each instruction of the OATH application ran: "put 1", "calculate 2" …
//	card fault NAME [ins=HEX] [fail-before=N] [fail-after=N] [leave-before=N] [leave-after=N] [hang-before=N] [hang-after=N]
func scriptCardKey(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 || neg && args[0] != "locked" {
		ts.Fatalf("usage: card VERB NAME …")
	}
	k, err := ts.Value(keyringName).(*keyring).one(args[1])
	ts.Check(err)
	oath := oathapplet.Of(k)
	switch args[0] {
	case "touched", "untouched":
		k.OnTouchWait(func() bool { return args[0] == "touched" })
	case "accounts":
		for _, n := range oath.Accounts() {
			_, err := fmt.Fprintln(ts.Stdout(), accountLine(n))
			ts.Check(err)
		}
	case "locked":
		if oath.Locked() == neg {
			ts.Fatalf("access code: %t", !neg)
		}
	case "ran":
		ran := oath.Ran()
		var names []string
		for ins, n := range ran {
			names = append(names, fmt.Sprintf("%s %d", oathInstructions()[ins], n))
		}
		slices.Sort(names)
		_, err := fmt.Fprintln(ts.Stdout(), strings.Join(names, "\n"))
		ts.Check(err)
	case "fault":
		f, err := cardFaults(args[2:])
		ts.Check(err)
		oath.SetFaults(f)
	default:
		ts.Fatalf("unknown verb %q", args[0])
	}
}

// oathInstructions names what reference yubikey-otp.md §6.1 lists.
func oathInstructions() map[byte]string {
	return map[byte]string{
		0x01: "put", 0x02: "delete", 0x03: "set-code", 0x04: "reset", 0x05: "rename",
		0xa1: "list", 0xa2: "calculate", 0xa3: "validate", 0xa4: "calculate-all",
	}
}

func accountLine(n oathapplet.Account) string {
	line := fmt.Sprintf("%s totp sha%d %d", n.Name, n.Hash, n.Digits)
	if n.HOTP {
		line = fmt.Sprintf("%s hotp sha%d %d factor=%d", n.Name, n.Hash, n.Digits, n.NextFactor)
	}
	if n.Touch {
		line += " touch"
	}
	return line
}

// cardFaults reads NAME=N of `card fault`.
func cardFaults(args []string) (f oathapplet.Faults, err error) {
	for _, a := range args {
		name, value, _ := strings.Cut(a, "=")
		if name == "ins" {
			n, err := strconv.ParseUint(value, 16, 8)
			if err != nil {
				return f, err
			}
			f.INS = byte(n)
			continue
		}
		at, ok := map[string]*int{
			"fail-before": &f.FailBefore, "fail-after": &f.FailAfter, "leave-before": &f.LeaveBefore, "leave-after": &f.LeaveAfter,
			"hang-before": &f.HangBefore, "hang-after": &f.HangAfter,
		}[name]
		if !ok {
			return f, fmt.Errorf("unknown fault %q", name)
		}
		if *at, err = strconv.Atoi(value); err != nil {
			return f, err
		}
	}
	return f, nil
}
