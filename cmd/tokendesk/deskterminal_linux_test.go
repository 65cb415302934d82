package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creack/pty"
)

// terminal is the screen of a program that runs on a pseudo-terminal, as a person sees it.
type terminal struct {
	t    testing.TB
	cmd  *exec.Cmd
	tty  *os.File
	done chan struct{} // closed when the program has ended

	mu      sync.Mutex
	lines   [][]rune
	frame   string // lines as they were when the program last ended a frame
	row     int
	col     int
	changed chan struct{} // closed by the next output
	said    strings.Builder
	stopped bool // it said stopMark
}

// startTerminal starts a program on a terminal of that size.
func startTerminal(t testing.TB, cmd *exec.Cmd, rows, cols uint16) *terminal {
	t.Helper()
	x := &terminal{t: t, cmd: cmd, done: make(chan struct{}), changed: make(chan struct{})}
	x.size(rows)
	talk, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if x.tty, err = pty.StartWithSize(cmd, &pty.Winsize{Rows: rows, Cols: cols}); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { x.draw(bufio.NewReader(x.tty)) })
	readers.Go(func() { x.listen(talk) })
	go func() {
		readers.Wait()
		_ = cmd.Wait() // the exit code is for the caller
		close(x.done)
	}()
	t.Cleanup(x.kill)
	return x
}

// kill ends the program as kill -9 does.
func (x *terminal) kill() {
	_ = x.cmd.Process.Kill() // it may have ended
	select {
	case <-x.done:
	case <-time.After(askTime):
		x.t.Error("the program does not end")
	}
	_ = x.tty.Close() // it is gone
}

func (x *terminal) size(rows uint16) {
	x.lines = make([][]rune, rows)
	x.row, x.col = 0, 0
}

// listen reads what the program says beside its screen.
func (x *terminal) listen(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		x.mu.Lock()
		x.said.WriteString(in.Text() + "\n")
		x.stopped = x.stopped || in.Text() == stopMark
		x.mu.Unlock()
		x.wake()
	}
}

func (x *terminal) wake() {
	x.mu.Lock()
	defer x.mu.Unlock()
	close(x.changed)
	x.changed = make(chan struct{})
}

// draw interprets the little that a line-drawing program needs of a terminal.
func (x *terminal) draw(in *bufio.Reader) {
	for {
		r, _, err := in.ReadRune()
		if err != nil {
			return
		}
		x.mu.Lock()
		switch {
		case r == '\x1b':
			x.escape(in)
		case r == '\r':
			x.col = 0
		case r == '\n':
			x.row = min(x.row+1, len(x.lines)-1)
		case r == '\b':
			x.col = max(x.col-1, 0)
		case r >= ' ':
			x.put(r)
		}
		x.mu.Unlock()
		if in.Buffered() == 0 {
			x.wake()
		}
	}
}

func (x *terminal) put(r rune) {
	line := x.lines[x.row]
	for len(line) <= x.col {
		line = append(line, ' ')
	}
	line[x.col] = r
	x.lines[x.row] = line
	x.col++
}

// escape reads ESC [ … letter, and skips others.
func (x *terminal) escape(in *bufio.Reader) {
	if r, _, err := in.ReadRune(); err != nil || r != '[' {
		return
	}
	var text strings.Builder
	for {
		r, _, err := in.ReadRune()
		if err != nil {
			return
		}
		if r < '@' || r > '~' {
			text.WriteRune(r)
			continue
		}
		x.control(r, strings.Split(text.String(), ";"))
		return
	}
}

func (x *terminal) control(letter rune, args []string) {
	arg := func(i int) int {
		n := 1
		if i < len(args) {
			if v, err := strconv.Atoi(args[i]); err == nil {
				n = v
			}
		}
		return n
	}
	switch letter {
	case 'A':
		x.row = max(x.row-arg(0), 0)
	case 'B':
		x.row = min(x.row+arg(0), len(x.lines)-1)
	case 'C':
		x.col += arg(0)
	case 'D':
		x.col = max(x.col-arg(0), 0)
	case 'H': // bubbletea begins and ends each frame by it: between, the screen is half the one and half the other
		x.frame = x.text()
		x.row, x.col = min(max(arg(0)-1, 0), len(x.lines)-1), max(arg(1)-1, 0)
	case 'K':
		if args[0] == "2" {
			x.col = 0
		}
		x.lines[x.row] = x.lines[x.row][:min(x.col, len(x.lines[x.row]))]
	case 'J':
		for i := range x.lines {
			if i > x.row || args[0] == "2" {
				x.lines[i] = nil
			}
		}
		if args[0] != "2" {
			x.lines[x.row] = x.lines[x.row][:min(x.col, len(x.lines[x.row]))]
		}
	}
}

// screen is what is to be seen.
func (x *terminal) screen() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.frame
}

func (x *terminal) text() string {
	var out strings.Builder
	for _, l := range x.lines {
		out.WriteString(strings.TrimRight(string(l), " ") + "\n")
	}
	return out.String()
}

// press types.
func (x *terminal) press(keys string) {
	if _, err := io.WriteString(x.tty, keys); err != nil && !x.ended() {
		x.t.Logf("type: %v", err)
	}
}

func (x *terminal) ended() bool {
	select {
	case <-x.done:
		return true
	default:
		return false
	}
}

// until waits for what look wants of the screen. False: the program has stopped where it was to be killed, or has ended.
func (x *terminal) until(what string, look func(screen string) bool) bool {
	x.t.Helper()
	patience := time.After(askTime)
	for {
		x.mu.Lock()
		screen, changed, stopped := x.frame, x.changed, x.stopped
		x.mu.Unlock()
		switch {
		case look(screen):
			return true
		case stopped:
			return false
		}
		select {
		case <-changed:
		case <-x.done:
			return look(x.screen())
		case <-patience:
			x.t.Fatalf("no %s on the screen:\n%s\n%s", what, screen, x.said.String())
		}
	}
}

// sees waits for a text.
func (x *terminal) sees(text string) bool {
	x.t.Helper()
	return x.until(fmt.Sprintf("%q", text), func(screen string) bool { return strings.Contains(screen, text) })
}
