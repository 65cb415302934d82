package sqlstore

import (
	"bytes"
	"context"
	"crypto/sha256"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// A mark knows a credential's secret again, also a revoked one's, so that an import finds it under any name without opening
// all there are. It outlives the secret of a credential that was given up.

// mark is that of a secret. Zeros at the end of a seed change no code, because HMAC pads a key with them, and some files write seeds
// of one length: they are left out. Source: RFC 2104 §2.
func (s *Store) mark(key, privateID secret.Bytes) []byte {
	if privateID.Len() == 0 {
		key = secret.Copy(bytes.TrimRight(key.Reveal(), "\x00"))
		defer key.Destroy()
	}
	m := s.ring().Mark(key, privateID)
	return m[:sha256.Size]
}

// putMark is for putSecrets, which alone writes secrets.
func (t *tx) putMark(id token.CredentialID, secrets token.Secrets) error {
	_, err := t.Exec(`UPDATE credential SET mark = ? WHERE id = ?`, t.s.mark(secrets.Key, secrets.PrivateID), id)
	return err
}

// marked are the credentials that have, or had, the record's secret; live ones first.
func (s *Store) marked(ctx context.Context, q querier, r keyfile.Record) ([]token.Credential, error) {
	return collect(ctx, q, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.mark = ? ORDER BY c.state = 'revoked', c.id`, s.mark(r.Key, r.PrivateID))
}

// unmarked are the credentials with secrets that a program without marks wrote.
func (s *Store) unmarked(ctx context.Context, q querier) ([]token.CredentialID, error) {
	return collect(ctx, q, func(row scanner) (id token.CredentialID, err error) { return id, row.Scan(&id) },
		`SELECT c.id FROM credential c WHERE c.mark = ? AND EXISTS (SELECT 1 FROM secret x WHERE x.credential = c.id) ORDER BY c.id`, []byte{})
}

func (t *tx) makeMarks(ctx context.Context) error {
	missing, err := t.s.unmarked(ctx, t)
	if err != nil {
		return err
	}
	for _, id := range missing {
		secrets, err := t.s.secrets(ctx, t, id)
		if err != nil {
			return err
		}
		err = t.putMark(id, secrets)
		secrets.Destroy()
		if err != nil {
			return err
		}
	}
	return nil
}
