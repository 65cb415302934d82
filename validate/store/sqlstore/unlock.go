package sqlstore

import (
	"context"
	"fmt"

	"github.com/tokendesk/tokendesk/provision/token"
)

// NoteUnlock writes into the audit chain that what opens the sealing key changes: "add" or "remove" a YubiKey, "plain" (none any more) or
// "copy" (for recovery); the last two have no serial number. It is written before the key's file is.
func (s *Store) NoteUnlock(ctx context.Context, what string, serial token.Serial) error {
	object := "store"
	if serial != 0 {
		object = serialObject(serial)
	}
	err := s.change(ctx, func(tx *tx) error { return tx.desk("store.unlock."+what, object, nil) })
	if err != nil {
		return fmt.Errorf("note what opens the sealing key: %w", translate(err))
	}
	return nil
}
