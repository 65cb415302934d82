package sqlstore

import (
	"context"
	"fmt"
	"strings"

	"github.com/tokendesk/tokendesk/keyfile"
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
		if err := tx.makeMarks(ctx); err != nil {
			return err
		}
		for i, r := range list {
			var err error
			if out[i], err = tx.importRecord(ctx, r); err != nil {
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

// Preview implements desk.KeyFiles.
func (s *Store) Preview(ctx context.Context, list []keyfile.Record) ([]desk.Imported, error) {
	out := make([]desk.Imported, len(list))
	missing, err := s.unmarked(ctx, s.read)
	if err == nil && len(missing) > 0 { // of an older program: once for each store
		err = s.change(ctx, func(tx *tx) error { return tx.makeMarks(ctx) })
	}
	for i, r := range list {
		if err == nil {
			_, out[i], err = s.judge(ctx, s.read, r)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("preview: %w", translate(err))
	}
	return out, nil
}

func (t *tx) importRecord(ctx context.Context, r keyfile.Record) (desk.Imported, error) {
	k, done, err := t.s.judge(ctx, t, r)
	if err != nil || done.Outcome != desk.New {
		return done, err
	}
	return t.importNew(ctx, r, k)
}

// judge says what is to become of a record, and finds the token that it is about; with ID 0 if that is new.
func (s *Store) judge(ctx context.Context, q querier, r keyfile.Record) (token.Token, desk.Imported, error) {
	k, err := importToken(ctx, q, r)
	done := func(o desk.Outcome, note string) (token.Token, desk.Imported, error) {
		return k, desk.Imported{Line: r.Line, Outcome: o, Note: note}, nil
	}
	if err != nil {
		return k, desk.Imported{}, err
	}
	if k.State == token.Revoked {
		return done(desk.Different, "its token was given up here")
	}
	list, err := rivals(ctx, q, r, k.ID)
	if err != nil {
		return k, desk.Imported{}, err
	}
	for _, c := range list {
		same, err := s.sameKey(ctx, q, c.ID, r)
		switch {
		case err != nil:
			return k, desk.Imported{}, err
		case c.State == token.Revoked && same:
			return done(desk.Different, revokedHere)
		case c.State == token.Revoked:
		case same:
			return done(desk.Known, otherSettings(c, r))
		default:
			return done(desk.Different, "another key is here under this name")
		}
	}
	list, err = s.marked(ctx, q, r)
	if err != nil || len(list) == 0 {
		return k, desk.Imported{Line: r.Line, Outcome: desk.New}, err
	}
	switch c := list[0]; {
	case r.Kind == token.YubicoOTP:
		return done(desk.Different, "this key is or was here under another public ID: its one-time passwords would count twice")
	case c.State == token.Revoked:
		return done(desk.Different, revokedHere)
	case r.Serial == 0 && r.Label == "", c.Token == k.ID:
		return done(desk.Known, otherSettings(c, r))
	}
	return done(desk.Different, "this seed is here under another name: its codes would count twice")
}

const revokedHere = "this key was revoked here: its counters must not start again"

// otherSettings says that a key that is here makes other codes here than by the record; "" if it makes the same.
func otherSettings(c token.Credential, r keyfile.Record) string {
	if r.Kind != token.HOTP && r.Kind != token.TOTP {
		return ""
	}
	var fields []string
	for _, f := range []struct {
		name  string
		other bool
	}{
		{"kind", c.Kind != r.Kind},
		{"digits", c.Settings.Digits != r.Digits},
		{"hash", c.Settings.Hash != r.Hash},
		{"period", c.Kind == token.TOTP && r.Kind == token.TOTP && c.Settings.Period != r.Period},
	} {
		if f.other {
			fields = append(fields, f.name)
		}
	}
	if len(fields) == 0 {
		return ""
	}
	return "the same key is here with another " + strings.Join(fields, ", ") + ": nothing was changed"
}

// importToken is the token that the record is about; with ID 0 if it is new.
func importToken(ctx context.Context, q querier, r keyfile.Record) (token.Token, error) {
	k, err := token.Token{}, error(nil)
	switch {
	case r.Serial != 0:
		k, err = oneToken(ctx, q, `WHERE t.serial = ?`, r.Serial)
	case r.Label != "":
		k, err = oneToken(ctx, q, `WHERE t.model = ? AND t.label = ? AND t.label <> ''`, string(importModel(r)), r.Label)
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
func rivals(ctx context.Context, q querier, r keyfile.Record, id token.ID) ([]token.Credential, error) {
	var public any // NULL is equal to nothing
	named := r.Kind == token.YubicoOTP || r.PublicID.Len() > 0
	if named {
		public = r.PublicID.String()
	}
	return collect(ctx, q, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE
		   c.public_id = ?2 AND (c.kind = 'yubico-otp' OR c.public_id <> '')
		OR c.state <> 'revoked' AND c.token = ?3 AND (?4 <> 0 AND c.slot = ?4 AND c.kind <> 'piv' OR ?1 = 0 AND ?4 = 0 AND c.kind = ?5 AND c.account = '')
		ORDER BY c.state = 'revoked', c.id`, named, public, id, r.Slot, string(r.Kind))
}

func (s *Store) sameKey(ctx context.Context, q querier, id token.CredentialID, r keyfile.Record) (bool, error) {
	there, err := s.secrets(ctx, q, id)
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
