package front

import (
	"errors"

	"golang.org/x/sys/unix"
)

// NoCoreDumps has the system write no memory of this process to a disk when it crashes. Source: PRODUCT.md §5.2; prctl(2): not dumpable
// also keeps a program of the same user from attaching to it. core(5): the limit alone does not count where a program takes the dumps.
func NoCoreDumps() error {
	return errors.Join(unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0), unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}))
}
