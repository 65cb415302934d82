//go:build unix

package front

import "syscall"

// FileLimit is how many files and connections this process may have open; Go's runtime has raised it to the hard limit. 0: unknown.
func FileLimit() int {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil || l.Cur > 1<<30 {
		return 0
	}
	return int(l.Cur)
}
