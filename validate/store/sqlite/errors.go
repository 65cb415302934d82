package sqlite

import (
	"errors"
	"io/fs"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Busy reports whether another process was writing: Begin may be called again.
func (b *Backend) Busy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// Again reports whether a transaction that failed with err may be run again. SQLite fails none that might succeed then.
func (b *Backend) Again(error) bool { return false }

// Doubtful reports whether a COMMIT that failed with err may have succeeded. SQLite knows.
func (b *Backend) Doubtful(error) bool { return false }

// Meaning is what an error of the driver means: token.ErrDuplicate, ErrNotFound (of something referred to), ErrFull, ErrIntegrity,
// fs.ErrPermission for files that this user may not write, or nil for any other.
func Meaning(err error) error {
	var e *driver.Error
	if !errors.As(err, &e) {
		return nil
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return token.ErrDuplicate
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return token.ErrNotFound
	case lib.SQLITE_IOERR_SHMSIZE: // the index of the log could not grow
		return token.ErrFull
	}
	switch e.Code() & 0xff { // the primary code
	case lib.SQLITE_FULL:
		return token.ErrFull
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return fs.ErrPermission
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return token.ErrIntegrity
	}
	return nil
}
