package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tokendesk/tokendesk/provision/token"
)

// What Meaning finds beside the words of package token.
var (
	ErrURL         = errors.New("not a URL of a PostgreSQL database")
	ErrUnreachable = errors.New("the database does not answer")
	ErrLogin       = errors.New("the database refuses this user")
	ErrNoDatabase  = errors.New("there is no such database")
	ErrReadOnly    = fmt.Errorf("the database is read-only: %w", fs.ErrPermission) // a standby
)

// The conditions that are told apart. Source: PostgreSQL 15 documentation, appendix A.
const (
	foreignKeyViolation  = "23503"
	uniqueViolation      = "23505"
	readOnlyTransaction  = "25006"
	noDatabase           = "3D000"
	noSchema             = "3F000"
	serializationFailure = "40001"
	completionUnknown    = "40003" // of clusters: the COMMIT may have been carried out
	deadlockDetected     = "40P01"
	noPrivilege          = "42501"
	undefinedColumn      = "42703"
	undefinedTable       = "42P01"
	diskFull             = "53100"
	adminShutdown        = "57P01"
	crashShutdown        = "57P02"
	cannotConnectNow     = "57P03"
	idleTimeout          = "25P03" // in a transaction: the session was ended
	dataCorrupted        = "XX001"
	indexCorrupted       = "XX002"
)

// code is the condition that the server reported, "" if err is none of the server's.
func code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Meaning is what an error of the driver means: token.ErrDuplicate, ErrNotFound (of something referred to), ErrFull, ErrIntegrity,
// fs.ErrPermission for what this user may not do, one of this package's, or nil for any other.
func Meaning(err error) error {
	switch c := code(err); c {
	case uniqueViolation:
		return token.ErrDuplicate
	case foreignKeyViolation:
		return token.ErrNotFound
	case diskFull:
		return token.ErrFull
	case dataCorrupted, indexCorrupted, undefinedTable, undefinedColumn:
		return token.ErrIntegrity
	case readOnlyTransaction:
		return ErrReadOnly
	case noPrivilege, noSchema:
		return fs.ErrPermission
	case noDatabase:
		return ErrNoDatabase
	default:
		if strings.HasPrefix(c, "28") { // invalid authorization
			return ErrLogin
		}
	}
	if lost(err) || refused(err) {
		return ErrUnreachable
	}
	return nil
}

// lost reports whether a connection ended.
func lost(err error) bool {
	switch c := code(err); {
	case c == adminShutdown, c == crashShutdown, c == idleTimeout, strings.HasPrefix(c, "08"):
		return true
	case c != "":
		return false
	}
	var network net.Error
	return !refused(err) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) ||
		errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, sql.ErrConnDone) || errors.As(err, &network) && !errors.Is(err, context.DeadlineExceeded))
}

// refused reports whether no connection could be made, for whatever reason but the login.
func refused(err error) bool {
	var e *pgconn.ConnectError
	return errors.As(err, &e) && (code(err) == "" || strings.HasPrefix(code(err), "53")) || code(err) == cannotConnectNow
}

// Busy reports whether Begin failed because a connection was stale, or others were in the way.
func (b *Backend) Busy(err error) bool {
	c := code(err)
	return err != nil && (c == serializationFailure || c == deadlockDetected || lost(err))
}

// Again reports whether a transaction that failed with err left nothing and may succeed when it is run again.
func (b *Backend) Again(err error) bool { return b.Busy(err) || err != nil && refused(err) }

// Doubtful reports whether a transaction whose COMMIT failed with err may have been committed. An answer of the server is none, unless
// it is that it ends: that may come after the commit. What pgx calls safe to retry is not: it says so too of a connection that was lost
// while the answer to a simple query was read (v5.12.0, MultiResultReader.NextResult).
func (b *Backend) Doubtful(err error) bool {
	if err == nil || errors.Is(err, pgx.ErrTxCommitRollback) {
		return false
	}
	c := code(err)
	return c == "" || c == completionUnknown || lost(err)
}
