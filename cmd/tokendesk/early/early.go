// Package early keeps bubbletea from asking the terminal for its colours whenever the program starts, also for commands that draw nothing:
// an answer that does not come takes five seconds, and what was typed ahead is lost. That question is asked by an init function of
// bubbletea 1 (tea_init.go), unless TERM is dumb. So it is, until main calls Restore.
//
// Go initialises packages in the order of their paths, each after its imports. This one imports syscall alone, so that it comes before
// os, and therefore before bubbletea, which imports os.
package early

import "syscall"

const name = "TERM"

// term is the variable as the program was given it.
var term, given = hide()

func hide() (string, bool) {
	was, ok := syscall.Getenv(name)
	_ = syscall.Setenv(name, "dumb") // otherwise it is as without this package
	return was, ok
}

// Restore puts TERM back. It is called once, first in main.
func Restore() {
	if given {
		_ = syscall.Setenv(name, term)
		return
	}
	_ = syscall.Unsetenv(name)
}
