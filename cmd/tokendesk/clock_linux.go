package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// Of the kernel's answer. Source: adjtimex(2), linux/timex.h.
const (
	timeError = 5      // TIME_ERROR, the state of a clock that nobody keeps
	staUnsync = 0x0040 // STA_UNSYNC
)

// systemClock asks the kernel, which the program that keeps the clock has told. It is not known where that is forbidden, as in many
// containers.
func systemClock() clockState {
	var t unix.Timex // Modes 0: nothing is changed
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return clockState{}
	}
	return clockState{
		known: true, kept: state != timeError && t.Status&staUnsync == 0,
		estimated: time.Duration(t.Esterror) * time.Microsecond, maximum: time.Duration(t.Maxerror) * time.Microsecond,
	}
}
