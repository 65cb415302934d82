package sqlstore

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/oathapplet"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Exportable implements desk.KeyFiles. An enabled row says it all: not blocked, not uncertain; active: proven. Static passwords and
// challenge-response keys are in no format: they stay.
func (s *Store) Exportable(ctx context.Context, tokens []token.ID) ([]token.CredentialID, error) {
	type held struct {
		id     token.CredentialID
		person int64
	}
	scan := func(row scanner) (h held, err error) { return h, row.Scan(&h.id, &h.person) }
	const selected = `SELECT c.id, coalesce(t.holder, 0) ` + credentialFrom + `JOIN token t ON t.id = c.token WHERE c.kind IN ('yubico-otp', 'hotp', 'totp') AND `
	var list []held
	var err error
	if tokens == nil {
		list, err = collect(ctx, s.read, scan, selected+`n.enabled = 1 AND c.state = 'active' AND t.state = 'active' ORDER BY c.id`)
	}
	for _, id := range tokens {
		var more []held
		if more, err = collect(ctx, s.read, scan, selected+`c.token = ? AND c.state NOT IN ('pending', 'revoked') ORDER BY c.id`, id); err != nil {
			break
		}
		list = append(list, more...)
	}
	if err != nil {
		return nil, fmt.Errorf("select for export: %w", translate(err))
	}
	slices.SortStableFunc(list, func(a, b held) int { return cmp.Compare(a.person, b.person) })
	out := make([]token.CredentialID, len(list))
	for i, h := range list {
		out[i] = h.id
	}
	return out, nil
}

// BeginExport implements desk.KeyFiles.
func (s *Store) BeginExport(ctx context.Context, e desk.Export, list []token.CredentialID) error {
	err := s.change(ctx, func(tx *tx) error {
		if err := tx.share(ctx, list); err != nil {
			return err
		}
		return tx.desk("keyfile.export", "store", struct {
			desk.Export
			Count int `json:"count"`
		}{e, len(list)})
	})
	if err != nil {
		return fmt.Errorf("begin export: %w", translate(err))
	}
	return nil
}

// Record implements desk.KeyFiles. The access code stays here.
func (s *Store) Record(ctx context.Context, id token.CredentialID) (keyfile.Record, error) {
	r, err := s.record(ctx, id)
	if err != nil {
		return keyfile.Record{}, fmt.Errorf("read credential %d: %w", id, translate(err))
	}
	return r, nil
}

func (s *Store) record(ctx context.Context, id token.CredentialID) (keyfile.Record, error) {
	c, err := oneCredential(ctx, s.read, `WHERE c.id = ?`, id)
	if err != nil {
		return keyfile.Record{}, err
	}
	k, err := oneToken(ctx, s.read, `WHERE t.id = ?`, c.Token)
	if err != nil {
		return keyfile.Record{}, err
	}
	secrets, err := s.secrets(ctx, s.read, id)
	if err != nil {
		return keyfile.Record{}, err
	}
	secrets.AccessCode.Destroy()
	if secrets.Key.Len() == 0 {
		secrets.Destroy()
		return keyfile.Record{}, fmt.Errorf("%w: no key", token.ErrIntegrity)
	}
	r := keyfile.Record{
		Kind: c.Kind, Serial: k.Serial, Label: k.Label, Slot: c.Slot, PublicID: c.PublicID, PrivateID: secrets.PrivateID, Key: secrets.Key,
		Digits: c.Settings.Digits, Period: c.Settings.Period, Hash: c.Settings.Hash, Issuer: c.Settings.Issuer, Created: c.Created,
	}
	if c.Kind == token.HOTP {
		r.Counter = c.Counters.Moving + 1
		if c.Slot != 0 && c.PublicID.Len() > 0 { // files have the token identifier where other devices have their serial
			r.PublicID, r.Label = token.PublicID{}, c.TypedID()
		}
	}
	if c.Settings.Account != "" { // a key has many: each is a token of its own in files
		r.Serial, r.Label = 0, fmt.Sprintf("OATH%s_%d", k.Serial, c.ID)
		r.Account = oathapplet.ParseID(c.Settings.Account, c.Kind).Name
	}
	if k.Holder != nil {
		r.Owner = k.Holder.Account
	}
	return r, nil
}
