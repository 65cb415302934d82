package sqlstore

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/store/postgres"
	"github.com/tokendesk/tokendesk/validate/store/sqlite"
)

// errUnchanged ends a transaction that found nothing to do: it is rolled back, and change returns it.
var errUnchanged = errors.New("unchanged")

// errNoIdentity is a database without the row that says which store it is.
var errNoIdentity = fmt.Errorf("%w: no identity", token.ErrIntegrity)

// translate gives the drivers' errors and package seal's the words of package token, and fs.ErrPermission for a database that this
// user may not write. Others pass.
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
	for _, meaning := range []func(error) error{sqlite.Meaning, postgres.Meaning} {
		if m := meaning(err); m != nil {
			return fmt.Errorf("%w: %w", m, err)
		}
	}
	return err
}
