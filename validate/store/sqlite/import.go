package sqlite

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Import implements desk.KeyFiles: all of list in one transaction.
func (s *Store) Import(ctx context.Context, source string, list []keyfile.Record) ([]desk.Imported, error) {
	out := make([]desk.Imported, len(list))
	if len(list) == 0 {
		return out, nil
	}
	err := s.change(ctx, func(tx *tx) error {
		count := map[desk.Outcome]int{}
		there, err := tx.fingerprints(ctx)
		if err != nil {
			return err
		}
		for i, r := range list {
			if out[i], err = tx.importRecord(ctx, r, there); err != nil {
				return fmt.Errorf("line %d: %w", r.Line, err)
			}
			count[out[i].Outcome]++
		}
		return tx.desk("keyfile.import", "store", map[string]any{"file": source, "outcomes": count})
	})
	if err != nil {
		return nil, fmt.Errorf("import: %w", translate(err))
	}
	return out, nil
}

func (t *tx) importRecord(ctx context.Context, r keyfile.Record, there map[fingerprint]bool) (desk.Imported, error) {
	done := func(o desk.Outcome, note string) (desk.Imported, error) {
		return desk.Imported{Line: r.Line, Outcome: o, Note: note}, nil
	}
	k, err := t.importToken(ctx, r)
	if err != nil {
		return desk.Imported{}, err
	}
	if k.State == token.Revoked {
		return done(desk.Different, "its token was given up here")
	}
	rivals, err := t.rivals(ctx, r, k.ID)
	if err != nil {
		return desk.Imported{}, err
	}
	for _, c := range rivals {
		same, err := t.sameKey(ctx, c.ID, r)
		switch {
		case err != nil:
			return desk.Imported{}, err
		case c.State == token.Revoked && same:
			return done(desk.Different, "this key was revoked here: its counters must not start again")
		case c.State == token.Revoked:
		case same:
			return done(desk.Known, "")
		default:
			return done(desk.Different, "another key is here under this name")
		}
	}
	if r.Kind == token.YubicoOTP {
		f := fingerprintOf(r.Key, r.PrivateID)
		if there[f] {
			return done(desk.Different, "this key is or was here under another public ID: its one-time passwords would count twice")
		}
		there[f] = true
	}
	return t.importNew(ctx, r, k)
}

// fingerprint knows a Yubico OTP secret again without holding it: SHA-256 over AES key [16] and private ID [6].
type fingerprint [sha256.Size]byte

func fingerprintOf(key, privateID secret.Bytes) fingerprint {
	both := secret.New(slices.Concat(key.Reveal(), privateID.Reveal()))
	defer both.Destroy()
	return sha256.Sum256(both.Reveal())
}

// fingerprints are those of all Yubico OTP credentials, also revoked ones.
func (t *tx) fingerprints(ctx context.Context) (map[fingerprint]bool, error) {
	list, err := collect(ctx, t, t.scanFingerprint, `SELECT k.credential, k.sealed, p.sealed FROM secret k JOIN secret p ON p.credential = k.credential
		WHERE k.what = 'aes-key' AND p.what = 'private-id'`)
	there := make(map[fingerprint]bool, len(list))
	for _, f := range list {
		there[f] = true
	}
	return there, err
}

func (t *tx) scanFingerprint(row scanner) (f fingerprint, err error) {
	var id token.CredentialID
	var key, privateID []byte
	if err := row.Scan(&id, &key, &privateID); err != nil {
		return f, err
	}
	var s token.Secrets
	defer func() { s.Destroy() }()
	if s.Key, err = t.s.keys.Sealing.Open(t.s.credentialPlace(id, seal.AESKey), key); err == nil {
		s.PrivateID, err = t.s.keys.Sealing.Open(t.s.credentialPlace(id, seal.PrivateID), privateID)
	}
	if err != nil {
		return f, fmt.Errorf("credential %d: %w", id, err)
	}
	return fingerprintOf(s.Key, s.PrivateID), nil
}

// importToken is the token that the record is about; with ID 0 if it is new.
func (t *tx) importToken(ctx context.Context, r keyfile.Record) (token.Token, error) {
	k, err := token.Token{}, error(nil)
	switch {
	case r.Serial != 0:
		k, err = oneToken(ctx, t, `WHERE t.serial = ?`, r.Serial)
	case r.Label != "":
		k, err = oneToken(ctx, t, `WHERE t.model = ? AND t.label = ?`, string(importModel(r)), r.Label)
	}
	if isNotFound(err) {
		return token.Token{}, nil
	}
	return k, err
}

// importModel: a Yubico OTP and a serial mean a YubiKey, anything else is other hardware.
func importModel(r keyfile.Record) token.Model {
	if r.Kind == token.YubicoOTP || r.Serial != 0 {
		return token.YubiKey
	}
	return token.Hardware
}

// rivals are the credentials that stand where the record wants to: of the same public ID; on the same slot; or, where the
// record tells neither, of the same kind on the same token. Live ones come first; revoked ones only by public ID.
func (t *tx) rivals(ctx context.Context, r keyfile.Record, id token.ID) ([]token.Credential, error) {
	named := r.Kind == token.YubicoOTP || r.PublicID.Len() > 0
	return collect(ctx, t, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE
		   ?1 AND c.public_id = ?2 AND (c.kind = 'yubico-otp' OR c.public_id <> '')
		OR c.state <> 'revoked' AND c.token = ?3 AND (?4 <> 0 AND c.slot = ?4 AND c.kind <> 'piv' OR NOT ?1 AND ?4 = 0 AND c.kind = ?5)
		ORDER BY c.state = 'revoked', c.id`, named, r.PublicID.String(), id, r.Slot, string(r.Kind))
}

func (t *tx) sameKey(ctx context.Context, id token.CredentialID, r keyfile.Record) (bool, error) {
	there, err := t.s.secrets(ctx, t, id)
	if err != nil {
		return false, err
	}
	defer there.Destroy()
	return there.Key.Equal(r.Key) && there.PrivateID.Equal(r.PrivateID), nil
}

func (t *tx) importNew(ctx context.Context, r keyfile.Record, k token.Token) (desk.Imported, error) {
	done := desk.Imported{Line: r.Line, Outcome: desk.New}
	event := token.Stock // HOTP and TOTP wait to be issued
	if r.Kind == token.YubicoOTP {
		event = token.Write // the first good OTP is the proof
	}
	state, err := token.Pending.Next(event)
	if err != nil {
		return done, err
	}
	switch {
	case k.ID == 0:
		k = token.Token{Model: importModel(r), Serial: r.Serial, Label: r.Label, State: state}
		if k.ID, err = t.addToken(k); err != nil {
			return done, err
		}
	case k.State == token.Pending || k.State == token.InStock && state == token.Programmed:
		if err := t.setTokenState(k.ID, state); err != nil {
			return done, err
		}
	}
	c := token.Credential{Token: k.ID, Kind: r.Kind, Slot: r.Slot, PublicID: r.PublicID, State: state,
		Settings: token.Settings{Digits: r.Digits, Period: r.Period, Hash: r.Hash, Issuer: r.Issuer, HasAccessCode: r.AccessCode.Len() > 0}}
	if c.ID, err = t.addCredential(c); err != nil {
		return done, err
	}
	if err := t.putSecrets(c.ID, token.Secrets{Key: r.Key, PrivateID: r.PrivateID, AccessCode: r.AccessCode}); err != nil {
		return done, err
	}
	if r.Kind == token.HOTP && r.Counter > 0 {
		if err := t.raise(c, token.Counters{Moving: r.Counter - 1}); err != nil {
			return done, err
		}
	}
	if done.Note, err = t.importOwner(ctx, r.Owner, k); err != nil {
		return done, err
	}
	err = t.desk("credential.import", tokenObject(k.ID), importDetail{c.ID, k.Serial, k.Label, r.Kind, r.PublicID.String(), r.Slot, state})
	if err != nil {
		return done, err
	}
	return done, t.enable(k.ID)
}

// importOwner binds a token that nobody holds to the person that the file names, if there is such a person.
func (t *tx) importOwner(ctx context.Context, account string, k token.Token) (note string, err error) {
	if account == "" || k.Holder != nil {
		return "", nil
	}
	p, err := scanPerson(t.QueryRowContext(ctx, `SELECT `+personColumns+` FROM person p WHERE p.account = ?`, account))
	if isNotFound(err) {
		return "its owner is not registered here: nobody holds it", nil
	}
	if err != nil {
		return "", err
	}
	_, err = t.Exec(`UPDATE token SET holder = ? WHERE id = ?`, p.ID, k.ID)
	return "", err
}

type importDetail struct {
	Credential token.CredentialID `json:"credential"`
	Serial     token.Serial       `json:"serial,omitempty"`
	Label      string             `json:"label,omitempty"`
	Kind       token.Kind         `json:"kind"`
	PublicID   string             `json:"public_id,omitempty"`
	Slot       token.Slot         `json:"slot,omitempty"`
	State      token.State        `json:"state"`
}
