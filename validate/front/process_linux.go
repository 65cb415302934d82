package front

import (
	"errors"

	"golang.org/x/sys/unix"
)

// NoCoreDumps has the system write no memory of this process to a disk when it crashes. Source: PRODUCT.md §5.2; prctl(2): not dumpable
// also keeps a program of the same user from attaching to it. core(5): the limit alone does not count where a program takes the dumps.
func NoCoreDumps() error {
	err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0)
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_CORE, &l) == nil && l.Cur == 0 && l.Max == 0 { // a sandbox may forbid to set what is set
		return err
	}
	return errors.Join(err, unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
}
