package mail

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// Spool writes each message as a file ID.eml (RFC 5322) into a directory, mode 0600, whole and durable or not at all. The same
// notice is the same file.
type Spool struct {
	Dir  string
	From string
}

var _ desk.Sender = Spool{}

// Send implements desk.Sender. Every failure of the directory is desk.ErrUnreachable.
func (s Spool) Send(_ context.Context, m desk.Message) error {
	msg, err := compose(s.From, m)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(s.Dir, ".notice-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUnreachable, err)
	}
	_, err = msg.WriteTo(f)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(s.Dir, m.ID+".eml"))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUnreachable, errors.Join(err, os.Remove(f.Name())))
	}
	return syncDir(s.Dir)
}

// syncDir makes the names in a directory durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("%w: %w", desk.ErrUnreachable, err)
	}
	_ = d.Sync() // Windows has no such call
	return d.Close()
}
