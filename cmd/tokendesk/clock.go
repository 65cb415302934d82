package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// clockState is how well the system's clock is kept. Codes by time need it; one-time passwords of YubiKeys do not.
type clockState struct {
	known     bool // the system tells
	kept      bool // a program compares it with others, such as by NTP
	estimated time.Duration
	maximum   time.Duration // how far it is off at most
}

// maxClockError is from when on a clock is called bad: half a step of TOTP.
const maxClockError = 15 * time.Second

// good reports whether codes by time may be trusted. Of a clock that nobody knows anything of, nothing bad is known.
func (c clockState) good() bool { return !c.known || c.kept && c.maximum < maxClockError }

// String is for people.
func (c clockState) String() string {
	switch {
	case !c.known:
		return "this system does not tell how well it is kept"
	case !c.kept:
		return "not synchronised"
	}
	return fmt.Sprintf("synchronised, at most %v off", c.maximum.Round(time.Millisecond))
}

// clockJump is how far the clock must go beside the time that passed to be called set. A clock that is led, not set, goes 0.05 % faster
// or slower: 15 ms in half a minute.
const clockJump = time.Second

// clockWatch notices that the clock was set, or the machine slept. It is safe for concurrent use.
type clockWatch struct {
	now    func() time.Time
	uptime func() time.Duration
	log    *slog.Logger

	mu      sync.Mutex
	started bool
	wall    time.Time     // at the last look
	passed  time.Duration // the same by a clock that nobody sets
	jumps   uint64
}

// look compares the two clocks since the last look, and tells once of each jump.
func (w *clockWatch) look() (jumps uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wall, passed := w.now().Round(0), w.uptime()
	by := wall.Sub(w.wall) - (passed - w.passed)
	if w.started && by.Abs() >= clockJump {
		w.jumps++
		w.log.Warn("the clock was set, or the machine slept: codes by time are judged by the new one", "by", by.Round(time.Millisecond).String())
	}
	w.started, w.wall, w.passed = true, wall, passed
	return w.jumps
}
