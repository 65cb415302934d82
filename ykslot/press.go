package ykslot

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// InputReader gives the keyboard reports of a held key: modifiers, 0, six usage codes. It waits until ctx is done and then
// returns the context's error. A usbhid.Device is one.
type InputReader interface {
	ReadInput(ctx context.Context) (Report, error)
}

// What ends a press that does not end with Enter: a key types a character each 20 to 160 ms (reference yubikey-otp.md
// §4.5), so after a whole OTP a silence of pressQuiet is the end. It is long because a busy machine delivers late, and only keys
// that type no Enter wait for it.
const (
	pressQuiet = 1500 * time.Millisecond
	pressChars = 2 * yubiotp.BlockLen
)

// maxPress bounds what is collected: the longest OTP with tabs is 67 characters, a static password 38.
const maxPress = 256

// ErrPressTooLong: more than 256 characters without Enter: a keyboard, or a key held down.
var ErrPressTooLong = errors.New("too much was typed without Enter")

// Bits and usages of a boot keyboard report. Source: reference yubikey-otp.md §1.2, §3.7 (US table); USB HID usage tables,
// page 7, for the keypad.
const (
	modShift     = 0x22 // left or right
	modLeftShift = 0x02
	offUsages    = 2
	usageEnter   = 0x28
	usageErrors  = 0x04 // below: no key, roll-over and other errors
	usageKeypad  = 0x58 // keypad Enter; 1 to 9 and 0 follow
)

// usRows are the characters of consecutive usages on a US keyboard, without and with Shift.
var usRows = []struct {
	first          byte
	plain, shifted string
}{
	{0x04, "abcdefghijklmnopqrstuvwxyz1234567890", "ABCDEFGHIJKLMNOPQRSTUVWXYZ!@#$%^&*()"},
	{0x2b, "\t -=[]\\\\", "\t _+{}||"}, // 31 (ANSI) and 32 (ISO) are the same key
	{0x33, ";'`,./", ":\"~<>?"},
	{0x64, "<", ">"}, // only on ISO keyboards
	{usageKeypad + 1, "1234567890", "1234567890"},
}

// ReadPress collects what one touch types, by the US layout, on which ModHex types itself. It ends at Enter, which is not
// part of the result, or at 1.5 s of silence after at least 32 characters, for keys that type no Enter; another end
// comes from ctx, whose error it wraps. Keys without a character are left out. The result is a one-time password or a
// static password: it must not be logged.
func ReadPress(ctx context.Context, in InputReader) (string, error) {
	return readPress(ctx, in, pressChars, func(int) bool { return true })
}

// ReadPressOf is as ReadPress for a press of which chars characters are due, as Config.Press predicts: silence ends it from
// there on, and an Enter before is a character '\n', after which silence ends it too.
func ReadPressOf(ctx context.Context, in InputReader, chars int) (string, error) {
	text, err := readPress(ctx, in, chars, func(n int) bool { return n >= chars })
	if len(text) < chars { // another press than the one that is due, and its Enter
		text = strings.TrimSuffix(text, "\n")
	}
	return text, err
}

// readPress ends at an Enter for which last says so, given the characters before it, and at silence after chars characters or
// after another Enter.
func readPress(ctx context.Context, in InputReader, chars int, last func(n int) bool) (string, error) {
	var typed strings.Builder
	var before Report
	entered := false
	for typed.Len() <= maxPress {
		var quiet time.Duration // 0: for as long as it takes
		if typed.Len() > 0 && (entered || typed.Len() >= chars) {
			quiet = pressQuiet
		}
		r, ended, err := nextInput(ctx, in, quiet)
		if err != nil {
			return "", fmt.Errorf("read press: %w", err)
		}
		if ended {
			return typed.String(), nil
		}
		for _, u := range r[offUsages:] {
			if u < usageErrors || held(before, u) {
				continue
			}
			if u == usageEnter || u == usageKeypad {
				if last(typed.Len()) {
					return typed.String(), nil
				}
				entered = true
				typed.WriteByte('\n')
				continue
			}
			if c, ok := character(u, r[0]&modShift != 0); ok {
				typed.WriteByte(c)
			}
		}
		before = r
	}
	return "", fmt.Errorf("read press: %w", ErrPressTooLong)
}

// typingGap is the longest pause between two reports of one press, doubled. Source: reference yubikey-otp.md §4.5.
const typingGap = 320 * time.Millisecond

// DropTyped reads away what was typed already, also the rest of a press that is still being typed, so that the next
// ReadPress gets one of after this call. Errors are as in ReadPress.
func DropTyped(ctx context.Context, in InputReader) error {
	for range 4 * maxPress { // each character is two reports
		_, quiet, err := nextInput(ctx, in, typingGap)
		if err != nil {
			return fmt.Errorf("drop what was typed: %w", err)
		}
		if quiet {
			return nil
		}
	}
	return fmt.Errorf("drop what was typed: %w", ErrPressTooLong)
}

// nextInput reads a report. It waits for at most quiet, if that is not 0, and then says that the typing ended. The time is waited in two
// halves: this program may have stood still in one of them, on a busy machine, and has what came meanwhile in the other.
func nextInput(ctx context.Context, in InputReader, quiet time.Duration) (r Report, ended bool, err error) {
	if quiet == 0 {
		r, err = in.ReadInput(ctx)
		return r, false, err
	}
	for range 2 {
		if r, ended, err = inputWithin(ctx, in, quiet/2); !ended {
			break
		}
	}
	return r, ended, err
}

func inputWithin(ctx context.Context, in InputReader, quiet time.Duration) (r Report, ended bool, err error) {
	short, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	r, err = in.ReadInput(short)
	if err != nil && short.Err() != nil && ctx.Err() == nil {
		return r, true, nil
	}
	return r, false, err
}

// held reports whether the usage was down in the report before: then it is not a new stroke.
func held(last Report, usage byte) bool {
	for _, u := range last[offUsages:] {
		if u == usage {
			return true
		}
	}
	return false
}

func character(usage byte, shift bool) (byte, bool) {
	for _, row := range usRows {
		if i := int(usage) - int(row.first); i >= 0 && i < len(row.plain) {
			if shift {
				return row.shifted[i], true
			}
			return row.plain[i], true
		}
	}
	return 0, false
}
