package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

func (s *Store) credentialPlace(id token.CredentialID, what seal.What) seal.Place {
	return seal.Place{Store: s.id, Owner: "credential", ID: int64(id), What: what}
}

// putSecrets seals what is not empty.
func (t *tx) putSecrets(id token.CredentialID, secrets token.Secrets) error {
	for _, part := range []struct {
		what seal.What
		s    secret.Bytes
	}{{seal.AESKey, secrets.Key}, {seal.PrivateID, secrets.PrivateID}, {seal.AccessCode, secrets.AccessCode}} {
		if part.s.Len() == 0 {
			continue
		}
		if err := t.putSecret(id, part.what, part.s); err != nil {
			return err
		}
	}
	return t.putMark(id, secrets)
}

// putSecret seals one.
func (t *tx) putSecret(id token.CredentialID, what seal.What, plain secret.Bytes) error {
	row, version, err := t.seal(t.s.credentialPlace(id, what), plain)
	if err != nil {
		return err
	}
	_, err = t.Exec(`INSERT INTO secret (credential, what, key_version, sealed) VALUES (?, ?, ?, ?)`, id, string(what), version, row)
	return err
}

// nextCode is the access code that is on its way to the key; empty: none is. The caller destroys it.
func (s *Store) nextCode(ctx context.Context, q querier, id token.CredentialID) (secret.Bytes, error) {
	var version uint32
	var sealed []byte
	err := q.QueryRowContext(ctx, `SELECT key_version, sealed FROM secret WHERE credential = ? AND what = 'next-code'`, id).Scan(&version, &sealed)
	if isNotFound(err) {
		return secret.Bytes{}, nil
	}
	if err != nil {
		return secret.Bytes{}, err
	}
	return s.unseal(s.credentialPlace(id, seal.NextCode), version, sealed)
}

// secrets opens all rows of a credential. The caller destroys them. No rows: empty secrets.
func (s *Store) secrets(ctx context.Context, q querier, id token.CredentialID) (token.Secrets, error) {
	rows, err := q.QueryContext(ctx, secretsText, id)
	if err != nil {
		return token.Secrets{}, err
	}
	defer rows.Close()
	var out token.Secrets
	for rows.Next() {
		if err := s.openRow(rows, id, &out); err != nil {
			out.Destroy()
			return token.Secrets{}, fmt.Errorf("credential %d: %w", id, err)
		}
	}
	if err := rows.Err(); err != nil {
		out.Destroy()
		return token.Secrets{}, err
	}
	return out, nil
}

func (s *Store) openRow(rows *sql.Rows, id token.CredentialID, out *token.Secrets) error {
	var what seal.What
	var version uint32
	var sealed []byte
	if err := rows.Scan(&what, &version, &sealed); err != nil {
		return err
	}
	b, err := s.unseal(s.credentialPlace(id, what), version, sealed)
	if err != nil {
		return err
	}
	switch what {
	case seal.AESKey:
		out.Key = b
	case seal.PrivateID:
		out.PrivateID = b
	case seal.AccessCode:
		out.AccessCode = b
	default:
		b.Destroy()
		return errors.New("a secret of an unknown kind")
	}
	return nil
}
