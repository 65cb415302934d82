package sqlstore

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/validate/store/backup"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
)

// What is told of backups in the desk chain. The first is in the backup itself.
const (
	actionBackupBegin = "store.backup-begin"
	actionBackup      = "store.backup"
	actionRestore     = "store.restore"
)

// Backup writes the whole store to w, signed and not encrypted, as it is at one moment, while others go on. What is sealed stays
// sealed, but names are in clear: w must encrypt. to is for the audit chain: who can open it. When what was written is durable, the caller
// calls BackedUp.
func (s *Store) Backup(ctx context.Context, w io.Writer, to string, p Progress) (backup.Header, error) {
	err := s.checkpoint()
	if err == nil {
		err = s.change(ctx, func(tx *tx) error {
			return tx.desk(actionBackupBegin, "store", map[string]string{"to": to})
		})
	}
	var h backup.Header
	if err == nil {
		h, err = s.dump(ctx, w, p)
	}
	if err != nil {
		return h, fmt.Errorf("back up: %w", translate(err))
	}
	return h, nil
}

// BackedUp notes that a backup is where it should be. size is in bytes; sum is the SHA-256 of the file in hexadecimal.
func (s *Store) BackedUp(ctx context.Context, h backup.Header, file string, size int64, sum string) error {
	err := s.change(ctx, func(tx *tx) error {
		return tx.desk(actionBackup, "store", map[string]any{"file": file, "bytes": size, "sha256": sum, "of": h.Desk.Seq, "rows": h.Rows})
	})
	if err != nil {
		return fmt.Errorf("note the backup: %w", translate(err))
	}
	return nil
}

// LastBackup is when a backup was made last; the zero time if never.
func (s *Store) LastBackup(ctx context.Context) (time.Time, error) {
	var at int64
	err := s.read.QueryRowContext(ctx, `SELECT coalesce(max(at), 0) FROM audit WHERE chain = ? AND object = 'store' AND action = ?`, audit.Desk, actionBackup).Scan(&at)
	if err != nil {
		return time.Time{}, fmt.Errorf("read backups: %w", translate(err))
	}
	return fromMicros(at), nil
}

// database names the kind of database, for people.
func (s *Store) database() string {
	if _, ok := s.backend.(*postgres.Backend); ok {
		return "postgres"
	}
	return "sqlite"
}

// SchemaError is a backup that another version of the program wrote.
type SchemaError struct{ Has, Knows int }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("the backup has schema %d, this program knows %d", e.Has, e.Knows)
}
