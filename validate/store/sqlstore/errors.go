package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"
	"io/fs"

	driver "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// errUnchanged ends a transaction that found nothing to do: it is rolled back, and change returns it.
var errUnchanged = errors.New("unchanged")

// busy reports whether another process was writing.
func busy(err error) bool {
	var e *driver.Error
	return errors.As(err, &e) && e.Code()&0xff == lib.SQLITE_BUSY
}

// translate gives the driver's codes and package seal's error the words of package token, and fs.ErrPermission for files that this user
// may not write. Others pass.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, seal.ErrOpen) {
		return fmt.Errorf("%w: %w", token.ErrIntegrity, err)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return token.ErrNotFound
	}
	var e *driver.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() {
	case lib.SQLITE_CONSTRAINT_UNIQUE, lib.SQLITE_CONSTRAINT_PRIMARYKEY:
		return fmt.Errorf("%w: %w", token.ErrDuplicate, err)
	case lib.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: %w", token.ErrNotFound, err)
	case lib.SQLITE_IOERR_SHMSIZE: // the index of the log could not grow
		return fmt.Errorf("%w: %w", token.ErrFull, err)
	}
	switch e.Code() & 0xff { // the primary code
	case lib.SQLITE_FULL:
		return fmt.Errorf("%w: %w", token.ErrFull, err)
	case lib.SQLITE_READONLY, lib.SQLITE_PERM, lib.SQLITE_CANTOPEN:
		return fmt.Errorf("%w: %w", fs.ErrPermission, err)
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return fmt.Errorf("%w: %w", token.ErrIntegrity, err)
	}
	return err
}
