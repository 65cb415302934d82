package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// hush turns the terminal's echo off. The returned function throws away what was typed meanwhile and turns it on again.
// Signals by key keep working.
func hush() (restore func()) {
	fd := int(os.Stdin.Fd())
	was, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil { // no terminal
		return func() {}
	}
	quiet := *was
	quiet.Lflag &^= unix.ECHO
	_ = unix.IoctlSetTermios(fd, unix.TCSETS, &quiet) // then it echoes, as without this
	return func() {
		_ = unix.IoctlSetInt(fd, unix.TCFLSH, unix.TCIFLUSH)
		_ = unix.IoctlSetTermios(fd, unix.TCSETS, was)
	}
}
