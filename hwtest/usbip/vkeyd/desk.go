package main

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// desk takes orders for its keys.
type desk struct{ keys []*vkey.Key }

// Answers that are not good news.
const (
	answerNothing = "nothing"
	answerNo      = "no"
	answerError   = "error: "
)

// errQuit ends everything.
var errQuit = errors.New("quit")

// serve takes orders on connections, one connection after the other; nil after quit.
func (d *desk) serve(l net.Listener) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		quit := d.answer(conn, conn)
		conn.Close()
		if quit {
			return nil
		}
	}
}

// answer takes orders from one stream until it ends, and says whether it was told to quit.
func (d *desk) answer(in io.Reader, out io.Writer) bool {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text, err := d.order(strings.Fields(lines.Text()))
		quit := errors.Is(err, errQuit)
		switch {
		case quit:
			text = "ok"
		case err != nil:
			text = answerError + err.Error()
		}
		if _, err := fmt.Fprintln(out, text); err != nil || quit {
			return quit
		}
	}
	return false
}

// order carries out one line.
func (d *desk) order(words []string) (string, error) {
	if len(words) == 1 && words[0] == "quit" {
		return "", errQuit
	}
	if len(words) < 2 {
		return "", errors.New("want ORDER KEY …")
	}
	n, err := strconv.Atoi(words[1])
	if err != nil || n < 1 || n > len(d.keys) {
		return "", fmt.Errorf("no key %q", words[1])
	}
	k, rest := d.keys[n-1], words[2:]
	switch words[0] {
	case "unplug":
		k.Unplug()
	case "plug":
		k.Plug()
	case "state":
		return state(k), nil
	case "frame":
		command, data := k.LastFrame()
		return fmt.Sprintf("%02x %x", command, data), nil
	case "tap":
		kind, text, ok := k.Tap()
		if !ok {
			return answerNothing, nil
		}
		return fmt.Sprintf("%c %q", kind, text), nil
	case "strokes":
		return strconv.Itoa(len(k.Pauses())), nil
	case "reset":
		k.ResetTransfers()
	case "transfers":
		gets, sets := k.Transfers()
		return fmt.Sprintf("gets=%d sets=%d", gets, sets), nil
	case "accounts":
		return accounts(k), nil
	case "piv":
		return pivState(k), nil
	case "root":
		return root(), nil
	case "slots":
		return describe(k, 1) + "; " + describe(k, 2), nil
	case "fault":
		f, err := parseFaults(rest)
		if err != nil {
			return "", err
		}
		k.SetFaults(f)
	case "touch", "lock", "holds", "dump", "hold":
		return slotOrder(k, words[0], rest)
	default:
		return "", fmt.Errorf("no order %q", words[0])
	}
	return "ok", nil
}

// slotOrder carries out what names a slot, or a time.
func slotOrder(k *vkey.Key, order string, rest []string) (string, error) {
	want := 2
	if order == "touch" || order == "dump" || order == "hold" {
		want = 1
	}
	if len(rest) != want {
		return "", fmt.Errorf("%s wants %d words after KEY", order, want)
	}
	if order == "hold" {
		d, err := time.ParseDuration(rest[0])
		if err != nil {
			return "", errors.New("want a time such as 500ms")
		}
		slot := k.Hold(d)
		return word(slot != 0, strconv.Itoa(slot), answerNothing), nil
	}
	slot, err := strconv.Atoi(rest[0])
	if err != nil || slot < 1 || slot > 2 {
		return "", errors.New("slot is 1 or 2")
	}
	if order == "touch" {
		return word(k.Touch(slot), "ok", answerNothing), nil
	}
	if order == "dump" {
		b := k.Dump(slot)
		return word(b != nil, hex.EncodeToString(b), answerNothing), nil
	}
	b, err := hex.DecodeString(rest[1])
	if err != nil {
		return "", errors.New("want hexadecimal digits")
	}
	if order == "holds" {
		return word(k.Holds(slot, b), "yes", answerNo), nil
	}
	if len(b) != len([6]byte{}) {
		return "", errors.New("an access code has 12 digits")
	}
	if !k.LockSlot(slot, [6]byte(b)) {
		return "", errors.New("slot is empty")
	}
	return "ok", nil
}

func word(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

// describe shows a slot without its secrets.
func describe(k *vkey.Key, n int) string {
	s := k.Slot(n)
	if s.Kind == vkey.Empty {
		return fmt.Sprintf("%d %s", n, s.Kind)
	}
	text := fmt.Sprintf("%d %s public=%x flags=%02x/%02x/%02x protected=%t use=%d session=%d", n, s.Kind, s.PublicID, s.Ext, s.Tkt,
		s.Cfg, s.Protected, s.UseCounter, s.SessionCounter)
	if s.Kind == vkey.HOTP {
		text += fmt.Sprintf(" factor=%d", s.MovingFactor)
	}
	if s.NDEF != nil {
		text += fmt.Sprintf(" ndef=%x", s.NDEF)
	}
	return text
}

// state shows the device.
func state(k *vkey.Key) string {
	p, led := k.Profile(), map[vkey.LED]string{vkey.Dark: "dark", vkey.Lit: "lit", vkey.Blinking: "blinking"}[k.LED()]
	return fmt.Sprintf("firmware=%v pid=%04x serial=%d light=%s info=%x", p.Version, p.PID, k.Serial(), led, k.DeviceInfo(0))
}

// parseFaults reads NAME=N words.
func parseFaults(words []string) (f vkey.Faults, err error) {
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return vkey.Faults{}, fmt.Errorf("%s wants a number", name)
		}
		switch name {
		case "stall":
			f.StallReport = n
		case "lose":
			f.LoseSet = n
		case "unplug":
			f.UnplugAfter = n
		case "slow":
			f.SlowWrite.Reads = n
		case "slowms":
			f.SlowWrite.Time = time.Duration(n) * time.Millisecond
		case "stale":
			f.StaleStatus = n
		case "notouch":
			f.NoTouch = n
		default:
			return vkey.Faults{}, fmt.Errorf("no fault %q", name)
		}
	}
	return f, nil
}
