package sqlstore

import (
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The sealing key has versions, and changes while servers run: see Rekey. Which version seals is said by meta.key_version, that every
// transaction reads which seals; which one opens a row is said by the row. A process that meets one it does not know reads the key's
// file again.

// ring is the sealing key as far as it is known.
func (s *Store) ring() seal.Key { return *s.sealing.Load() }

// having is the sealing key with that version, read again if need be.
func (s *Store) having(version uint32) (seal.Key, error) {
	k := s.ring()
	if k.Has(version) {
		return k, nil
	}
	if s.reload == nil {
		return k, seal.ErrOpen
	}
	again, err := s.reload()
	if err != nil {
		return k, fmt.Errorf("read the sealing key again, for version %d: %w", version, err)
	}
	if !again.Marks(k) {
		return k, fmt.Errorf("the sealing key was replaced by another: %w", token.ErrWrongKey)
	}
	if !again.Has(version) {
		return k, fmt.Errorf("the sealing key's file has no version %d: %w", version, seal.ErrOpen)
	}
	s.sealing.Store(&again)
	return again, nil
}

// matches is token.ErrWrongKey for a sealing key that is not the store's. One that was changed between reading its file and reading the
// store is read again.
func (s *Store) matches(check []byte) error {
	if s.ring().Matches(s.id, check) {
		return nil
	}
	if s.reload == nil {
		return token.ErrWrongKey
	}
	again, err := s.reload()
	if err != nil {
		return err
	}
	if !again.Matches(s.id, check) {
		return token.ErrWrongKey
	}
	s.sealing.Store(&again)
	return nil
}

// unseal opens a row. The caller destroys the secret.
func (s *Store) unseal(p seal.Place, version uint32, row []byte) (secret.Bytes, error) {
	k, err := s.having(version)
	if err != nil {
		return secret.Bytes{}, err
	}
	return k.Open(p, version, row)
}

// sealing is the key that seals in this transaction.
func (t *tx) sealing() (seal.Key, error) {
	if t.sealer.Version() != 0 {
		return t.sealer, nil
	}
	var version uint32
	var check []byte
	if err := t.QueryRow(`SELECT key_version, key_check FROM meta WHERE id = 1`).Scan(&version, &check); err != nil {
		return seal.Key{}, err
	}
	k, err := t.s.having(version)
	if err != nil {
		return seal.Key{}, err
	}
	if !k.Matches(t.s.id, check) { // two machines drew a version of that number
		return seal.Key{}, fmt.Errorf("version %d of the sealing key is another than the store's: %w", version, token.ErrWrongKey)
	}
	t.sealer, _ = k.At(version) // it has it
	return t.sealer, nil
}

// seal seals a secret, and says with which version.
func (t *tx) seal(p seal.Place, s secret.Bytes) (row []byte, version uint32, err error) {
	k, err := t.sealing()
	if err != nil {
		return nil, 0, err
	}
	row, err = k.Seal(t.s.random, p, s)
	return row, k.Version(), err
}
