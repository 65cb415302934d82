package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/usbhid"
)

// differ is a program of the guest: it has this program and Debian's do the same, each to a virtual key of its own, and ends
// with status 1 where the 52 bytes of a slot or what a press types differ.
//
//	differ SOCKET FIRMWARE ykpersonalize|ykman|challenge SETS
//
// Behind SOCKET is vkeyd with two keys of FIRMWARE; the first is ours. SETS is how many random option sets are written. Ours
// runs in this process, command line, store and all: starting it anew each time would take longer than what is tested.
func differ() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	err := runDiffer(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "differ:", err)
		os.Exit(1)
	}
}

func runDiffer(ctx context.Context, args []string) error {
	if len(args) != 4 {
		return errors.New("usage: see the source")
	}
	sets, err := strconv.Atoi(args[3])
	if err != nil {
		return err
	}
	p, err := newTwins(ctx, args[0])
	if err != nil {
		return err
	}
	defer p.conn.Close()
	switch args[2] {
	case "ykpersonalize":
		number, err := persNumber(ctx)
		if err != nil {
			return err
		}
		return p.walk(personalizer{number}, args[1], sets)
	case "ykman":
		m, err := startYkman(ctx)
		if err != nil {
			return err
		}
		return errors.Join(p.walk(m, args[1], sets), m.stop())
	case "challenge":
		return p.challenges(sets)
	}
	return fmt.Errorf("no rival %q", args[2])
}

// The keys of twins, as vkeyd numbers them.
const (
	oursKey   = 1
	theirsKey = 2
)

// Their serial numbers, by which programs find them.
const (
	oursSerial   = 1000001
	theirsSerial = 1000002
)

// twins are two virtual keys that should stay equal.
type twins struct {
	ctx   context.Context
	conn  net.Conn // to vkeyd
	lines *bufio.Reader
	env   *env
	said  *bytes.Buffer // by our program
	dir   string        // of the store, and of files with secrets
	slots [2]*optionSet // what both keys hold
}

func newTwins(ctx context.Context, socket string) (*twins, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "differ")
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	p := &twins{ctx: ctx, conn: conn, lines: bufio.NewReader(conn), env: systemEnv(), said: &bytes.Buffer{}, dir: dir}
	p.env.stdin, p.env.stdout, p.env.stderr = strings.NewReader(""), p.said, p.said
	p.env.stdinTTY, p.env.stdoutTTY, p.env.stderrTTY = false, false, false
	if err := p.program("init"); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return p, nil
}

// program runs one command of ours.
func (p *twins) program(args ...string) error {
	p.said.Reset()
	if code := run(p.ctx, p.env, append([]string{"--store", filepath.Join(p.dir, "store")}, args...)); code != exitDone {
		return fmt.Errorf("tokendesk %s: exit code %d: %s", strings.Join(args, " "), code, p.said)
	}
	return nil
}

// slot runs one of our slot commands on our key.
func (p *twins) slot(verb string, slot int, args ...string) error {
	line := []string{"slot", verb, "--serial", strconv.Itoa(oursSerial), "--transport", "hidraw"}
	if slot != 0 {
		line = append(line, "--slot", strconv.Itoa(slot))
	}
	return p.program(append(line, args...)...)
}

// file keeps a secret for a --…-file flag.
func (p *twins) file(name, text string) (string, error) {
	path := filepath.Join(p.dir, name)
	return path, os.WriteFile(path, []byte(text+"\n"), 0o600)
}

// order gives vkeyd an order.
func (p *twins) order(words ...any) (string, error) {
	if _, err := fmt.Fprintln(p.conn, words...); err != nil {
		return "", err
	}
	answer, err := p.lines.ReadString('\n')
	answer = strings.TrimSuffix(answer, "\n")
	if err == nil && strings.HasPrefix(answer, "error: ") {
		err = fmt.Errorf("%v: %s", words, answer)
	}
	return answer, err
}

// both gives an order to both keys.
func (p *twins) both(order string, rest ...any) (ours, theirs string, err error) {
	ours, err = p.order(append([]any{order, oursKey}, rest...)...)
	if err != nil {
		return "", "", err
	}
	theirs, err = p.order(append([]any{order, theirsKey}, rest...)...)
	return ours, theirs, err
}

// equal compares what both keys hold and, by a touch of each slot that types, what they type.
func (p *twins) equal(slots ...int) error {
	for slot := 1; slot <= 2; slot++ {
		ours, theirs, err := p.both("dump", slot)
		if err != nil {
			return err
		}
		if ours != theirs {
			return fmt.Errorf("slot %d holds\n%s with ours,\n%s with theirs", slot, ours, theirs)
		}
	}
	ours, theirs, err := p.both("slots") // with NDEF, which is outside the 52 bytes, and counters
	if err != nil {
		return err
	}
	if ours != theirs {
		return fmt.Errorf("slots are %s with ours, %s with theirs", ours, theirs)
	}
	for _, slot := range slots {
		ours, theirs, err := p.press(slot)
		if err != nil {
			return err
		}
		if err := p.slots[slot-1].sameTyped(ours, theirs); err != nil {
			return fmt.Errorf("slot %d types %w", slot, err)
		}
	}
	return nil
}

// press touches both keys as for a slot and returns what the system's keyboards report.
func (p *twins) press(slot int) (ours, theirs []stroke, err error) {
	var boards [2]*board
	for i := range boards {
		if boards[i], err = openBoard(p.ctx, i); err != nil {
			return nil, nil, err
		}
		defer boards[i].file.Close()
	}
	a, b, err := p.both("touch", slot)
	if err != nil || a != b || a != "ok" {
		if err == nil && a != b {
			err = fmt.Errorf("a touch of slot %d: %q with ours, %q with theirs", slot, a, b)
		}
		return nil, nil, err
	}
	a, b, err = p.both("strokes")
	if err == nil && a != b {
		err = fmt.Errorf("slot %d types %s strokes with ours, %s with theirs", slot, a, b)
	}
	if err != nil {
		return nil, nil, err
	}
	n, err := strconv.Atoi(a)
	if err != nil {
		return nil, nil, err
	}
	ours, err = boards[0].take(n)
	if err == nil {
		theirs, err = boards[1].take(n)
	}
	return ours, theirs, err
}

// stroke is a key that goes down or up, by the kernel's code.
type stroke struct {
	code uint16
	down bool
}

// Source: Linux include/uapi/linux/input.h and input-event-codes.h.
const (
	eventLen  = 24 // on 64-bit systems: 16 of time, u16 type, u16 code, s32 value
	keyEvent  = 1  // EV_KEY
	leftShift = 42 // KEY_LEFTSHIFT
)

// board is an open keyboard of the system.
type board struct {
	file    *os.File
	strokes chan stroke
}

// openBoard waits for the keyboard of the n-th key, opens it and begins to read: the kernel keeps fewer events than an OTP has.
func openBoard(ctx context.Context, n int) (*board, error) {
	for {
		keys, err := usbhid.Find(os.DirFS("/sys"))
		if err != nil {
			return nil, err
		}
		if len(keys) > n && len(keys[n].Input) > 0 {
			f, err := os.Open(keys[n].Input[0])
			if err == nil {
				b := &board{f, make(chan stroke, 1024)}
				go b.read()
				return b, f.SetReadDeadline(time.Now().Add(time.Minute))
			}
			if !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no keyboard of key %d: %w", n+1, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *board) read() {
	defer close(b.strokes)
	buf := make([]byte, 64*eventLen)
	for {
		n, err := b.file.Read(buf)
		if err != nil {
			return
		}
		for e := range slices.Chunk(buf[:n], eventLen) {
			value := binary.NativeEndian.Uint32(e[20:])
			if binary.NativeEndian.Uint16(e[16:]) == keyEvent && value < 2 { // 2 is the kernel's own repetition
				b.strokes <- stroke{binary.NativeEndian.Uint16(e[18:]), value == 1}
			}
		}
	}
}

// take returns what is typed until n keys, Shift apart, went down and all are up again.
func (b *board) take(n int) ([]stroke, error) {
	var all []stroke
	down, held := 0, 0
	for down < n || held > 0 {
		s, ok := <-b.strokes
		if !ok {
			return nil, fmt.Errorf("only %d of %d strokes", down, n)
		}
		all = append(all, s)
		switch {
		case !s.down:
			held--
		case s.code == leftShift:
			held++
		default:
			held++
			down++
		}
	}
	return all, nil
}
