package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// inputEvent is the kernel's record on an event node of a 64-bit system, 24 bytes in the host's byte order. Source: Linux
// include/uapi/linux/input.h.
type inputEvent struct {
	Sec, Usec  int64
	Type, Code uint16
	Value      int32
}

const (
	inputEventLen = 24
	typeKey       = 1  // EV_KEY
	keyEnter      = 28 // KEY_ENTER
)

// letters are the ModHex characters by the kernel's key code on a US keyboard. Source: Linux
// include/uapi/linux/input-event-codes.h, KEY_E 18 … KEY_N 49.
var letters = map[uint16]byte{
	18: 'e', 19: 'r', 20: 't', 22: 'u', 23: 'i', 32: 'd', 33: 'f', 34: 'g', 35: 'h', 36: 'j', 37: 'k', 38: 'l',
	46: 'c', 47: 'v', 48: 'b', 49: 'n',
}

// keyboard waits until a key's event node exists and opens it.
func keyboard(ctx context.Context) (*os.File, error) {
	for {
		keys, err := usbhid.Find(os.DirFS("/sys"))
		if err != nil {
			return nil, err
		}
		if len(keys) == 1 && len(keys[0].Input) > 0 {
			f, err := os.Open(keys[0].Input[0])
			if !errors.Is(err, fs.ErrNotExist) {
				return f, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no keyboard of one key: %w", ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// typed returns the next line a person would see: the key-down events up to Enter, as a desktop would get them.
func typed(ctx context.Context, f *os.File) (string, error) {
	if d, ok := ctx.Deadline(); ok {
		if err := f.SetReadDeadline(d); err != nil {
			return "", err
		}
	}
	var line strings.Builder
	buf := make([]byte, 64*inputEventLen)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return line.String(), fmt.Errorf("after %d characters: %w", line.Len(), err)
		}
		for r := bytes.NewReader(buf[:n]); r.Len() >= inputEventLen; {
			var e inputEvent
			if err := binary.Read(r, binary.NativeEndian, &e); err != nil {
				return "", err
			}
			switch {
			case e.Type != typeKey || e.Value != 1:
			case e.Code == keyEnter:
				return line.String(), nil
			case letters[e.Code] != 0:
				line.WriteByte(letters[e.Code])
			default:
				return "", fmt.Errorf("key code %d is not ModHex", e.Code)
			}
		}
	}
}
