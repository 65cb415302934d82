package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Reserve opens a ledger entry for one slot, or one account, of one key: it makes the token row if the serial is new, takes the public ID, and
// adds the pending credential. The errors are token.ErrUnsettled when an entry is open for this slot, token.ErrDuplicate when
// another live credential has the public ID (only the one that is to be replaced may), *token.TransitionError when the token
// is blocked or revoked, token.ErrNotFound for an unknown holder.
func (s *Store) Reserve(ctx context.Context, r token.Reservation) (token.Entry, error) {
	var e token.Entry
	err := s.change(ctx, func(tx *tx) (err error) {
		e, err = tx.reserve(ctx, r)
		return err
	})
	if err != nil {
		return token.Entry{}, fmt.Errorf("reserve slot %d of %d: %w", r.Slot, r.Serial, translate(err))
	}
	return e, nil
}

func (t *tx) reserve(ctx context.Context, r token.Reservation) (token.Entry, error) {
	if r.Serial == 0 || !placed(r) || !r.Kind.Valid() || r.Proof != token.ByTouch && r.Proof != token.ByHost && r.Proof != token.NoProof {
		return token.Entry{}, errors.New("a reservation names serial, slot 1 or 2 or an account, kind and proof")
	}
	id, err := t.reserveToken(ctx, r)
	if err != nil {
		return token.Entry{}, err
	}
	var open bool
	if err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM ledger WHERE token = ?1 AND slot = ?2 AND phase NOT IN ('committed', 'aborted'))
		OR EXISTS (SELECT 1 FROM slot_change WHERE token = ?1 AND phase = 'writing')`, id, r.Slot).Scan(&open); err != nil {
		return token.Entry{}, err
	}
	if open {
		return token.Entry{}, token.ErrUnsettled
	}
	if err := t.forOne(id, r.Holder); err != nil {
		return token.Entry{}, err
	}
	if err := t.replaceable(ctx, r, id); err != nil {
		return token.Entry{}, err
	}
	former, err := t.former(id, r)
	if err != nil {
		return token.Entry{}, err
	}
	if err := t.publicIDFree(r.Kind, r.PublicID, former); err != nil {
		return token.Entry{}, err
	}
	credential, err := t.addCredential(token.Credential{Token: id, Kind: r.Kind, Slot: r.Slot, PublicID: r.PublicID, State: token.Pending, Settings: r.Settings})
	if err != nil {
		return token.Entry{}, err
	}
	entry, err := t.insert(`INSERT INTO ledger (phase, token, slot, credential, former, holder, proof, firmware, overwrite, reason, elsewhere, created, updated, id_check, replaces, note)
		VALUES ('reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, r.Slot, credential, orNull(former), orNull(r.Holder), provenColumn(r.Proof), r.Firmware, r.Overwrite, r.Reason, r.Elsewhere, micros(t.now), micros(t.now),
		string(r.Handover.IDCheck), orNull(r.Handover.Replace), r.Handover.Note)
	if err != nil {
		return token.Entry{}, err
	}
	err = t.desk("ledger.reserve", serialObject(r.Serial), ledgerDetail{Entry: token.EntryID(entry), Slot: r.Slot, OATH: r.Settings.Account, Elsewhere: r.Elsewhere, Kind: r.Kind, PublicID: r.PublicID.String(),
		Former: former, Holder: r.Holder, Proof: r.Proof, Overwrite: r.Overwrite, Reason: r.Reason})
	if err != nil {
		return token.Entry{}, err
	}
	return t.s.entry(ctx, t, token.EntryID(entry))
}

// placed reports whether a reservation says where: a slot, or an account that is HOTP or TOTP.
func placed(r token.Reservation) bool {
	if r.Settings.Account != "" {
		return r.Slot == 0 && (r.Kind == token.HOTP || r.Kind == token.TOTP)
	}
	return (r.Slot == 1 || r.Slot == 2) && !r.Elsewhere
}

// provenColumn is a proof in the ledger: of challenge-response and of accounts touch stands for the host's.
func provenColumn(p token.ProofRequired) string {
	if p == token.ByHost {
		p = token.ByTouch
	}
	return string(p)
}

// reserveToken finds the token of a serial or makes it. What may not be written is refused.
func (t *tx) reserveToken(ctx context.Context, r token.Reservation) (token.ID, error) {
	k, err := oneToken(ctx, t, `WHERE t.serial = ?`, r.Serial)
	if isNotFound(err) {
		return t.addToken(token.Token{Model: token.YubiKey, Serial: r.Serial, Firmware: r.Firmware, State: token.Pending})
	}
	if err != nil {
		return 0, err
	}
	if _, err := k.State.Next(token.Write); err != nil {
		return 0, err
	}
	if r.Firmware != "" {
		_, err = t.Exec(`UPDATE token SET firmware = ? WHERE id = ?`, r.Firmware, k.ID)
	}
	return k.ID, err
}

// former is the live credential that the slot holds, as far as we know; 0: none. One that came in a file without its slot counts
// when it has the public ID that is asked for.
func (t *tx) former(id token.ID, r token.Reservation) (former token.CredentialID, err error) {
	if account := r.Settings.Account; account != "" {
		return t.onAccount(id, account)
	}
	err = t.QueryRow(`SELECT id FROM credential WHERE token = ?1 AND kind <> 'piv' AND state NOT IN ('pending', 'revoked')
		AND (slot = ?2 OR slot = 0 AND kind = 'yubico-otp' AND public_id = ?3) ORDER BY slot DESC LIMIT 1`, id, r.Slot, r.PublicID.String()).Scan(&former)
	if isNotFound(err) {
		return 0, nil
	}
	return former, err
}

// onAccount is the live credential of that name in the key's OATH application; 0: none.
func (t *tx) onAccount(id token.ID, account string) (held token.CredentialID, err error) {
	err = t.QueryRow(`SELECT id FROM credential WHERE token = ? AND account = ? AND account <> '' AND state NOT IN ('pending', 'revoked')`, id, account).Scan(&held)
	if isNotFound(err) {
		return 0, nil
	}
	return held, err
}

// publicIDFree refuses a public ID that a live credential other than except has. Pending ones count.
func (t *tx) publicIDFree(kind token.Kind, id token.PublicID, except token.CredentialID) error {
	if kind != token.YubicoOTP && id.Len() == 0 {
		return nil
	}
	var taken bool
	err := t.QueryRow(`SELECT EXISTS (SELECT 1 FROM credential WHERE public_id = ? AND (kind = 'yubico-otp' OR public_id <> '') AND state <> 'revoked' AND id <> ?)`,
		id.String(), except).Scan(&taken)
	if err == nil && taken {
		err = fmt.Errorf("public ID %s: %w", id, token.ErrDuplicate)
	}
	return err
}

// Seal makes the secrets of a reserved entry durable. It works once: an entry that has its secrets is token.ErrConflict, so no
// second secret is ever drawn for it. The caller keeps secrets and destroys them.
func (s *Store) Seal(ctx context.Context, id token.EntryID, secrets token.Secrets) error {
	err := s.change(ctx, func(tx *tx) error {
		e, err := s.openEntry(ctx, tx, id)
		if err != nil {
			return err
		}
		if e.Phase != token.Reserved || secrets.Key.Len() == 0 {
			return token.ErrConflict
		}
		if err := tx.seedFree(ctx, e, secrets); err != nil {
			return err
		}
		if err := tx.putSecrets(e.Credential.ID, secrets); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE credential SET version = version + 1, has_access_code = ? WHERE id = ?`, secrets.AccessCode.Len() > 0, e.Credential.ID); err != nil {
			return err
		}
		return tx.advance(e, token.Sealed, "ledger.seal", nil)
	})
	if err != nil {
		return fmt.Errorf("seal entry %d: %w", id, translate(err))
	}
	return nil
}

// seedFree refuses a secret of an account that another credential has or had: its codes would count twice. The account itself may get
// again what it has. One whose codes another service checks may be on as many keys as there are.
func (t *tx) seedFree(ctx context.Context, e token.Entry, secrets token.Secrets) error {
	if e.Credential.Settings.Account == "" || e.Elsewhere {
		return nil
	}
	if err := t.makeMarks(ctx); err != nil {
		return err
	}
	list, err := t.s.marked(ctx, t, keyfile.Record{Key: secrets.Key, PrivateID: secrets.PrivateID})
	if err != nil || len(list) == 0 {
		return err
	}
	again := e.Former != nil && slices.ContainsFunc(list, func(c token.Credential) bool { return c.ID == e.Former.ID })
	for _, c := range list {
		again = again && c.Token == e.Token && c.Settings.Account == e.Credential.Settings.Account
	}
	if !again {
		err = fmt.Errorf("this secret is or was here already: %w", token.ErrDuplicate)
	}
	return err
}

// Mark moves an entry to Writing or Written, and from then on neither its former credential nor the new one validates. A
// phase that the entry has passed already changes nothing: a resumed write may mark again. Without sealed secrets, and for
// an entry that is settled, it is token.ErrConflict.
func (s *Store) Mark(ctx context.Context, id token.EntryID, p token.Phase) error {
	err := s.change(ctx, func(tx *tx) error {
		e, err := s.openEntry(ctx, tx, id)
		if err != nil {
			return err
		}
		if !p.Uncertain() || e.Phase == token.Reserved {
			return token.ErrConflict
		}
		if e.Phase == token.Written || e.Phase == p {
			return errUnchanged
		}
		if err := tx.advance(e, p, "ledger."+string(p), nil); err != nil {
			return err
		}
		return tx.enable(e.Token)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return fmt.Errorf("mark entry %d %s: %w", id, p, translate(err))
	}
	return nil
}

// advance writes the phase and its event. The statement is guarded by the phase that was read.
func (t *tx) advance(e token.Entry, to token.Phase, action string, detail *ledgerDetail) error {
	err := t.one(token.ErrConflict, `UPDATE ledger SET phase = ?, updated = ? WHERE id = ? AND phase = ?`, string(to), micros(t.now), e.ID, string(e.Phase))
	if err == nil {
		err = t.itemSettled(e, to)
	}
	if err != nil {
		return err
	}
	if detail == nil {
		detail = &ledgerDetail{}
	}
	detail.Entry, detail.Slot, detail.PublicID, detail.OATH = e.ID, e.Slot, e.Credential.PublicID.String(), e.Credential.Settings.Account
	return t.desk(action, serialObject(e.Serial), detail)
}

// ledgerDetail is the detail of the ledger's events.
type ledgerDetail struct {
	Entry     token.EntryID       `json:"entry"`
	Slot      token.Slot          `json:"slot"`
	OATH      string              `json:"oath_account,omitempty"` // in the OATH application; the slot is 0
	Elsewhere bool                `json:"elsewhere,omitempty"`    // its codes are checked by another service
	Kind      token.Kind          `json:"kind,omitempty"`
	PublicID  string              `json:"public_id,omitempty"`
	Former    token.CredentialID  `json:"former,omitempty"`
	Holder    token.PersonID      `json:"holder,omitempty"`
	Account   string              `json:"account,omitempty"`
	Proof     token.ProofRequired `json:"proof,omitempty"`
	Overwrite string              `json:"overwrite,omitempty"`
	Reason    string              `json:"reason,omitempty"`
	State     token.State         `json:"state,omitempty"`
	IDCheck   token.IDCheck       `json:"id_check,omitempty"`
	Replaces  token.ID            `json:"replaces,omitempty"`
	Note      string              `json:"note,omitempty"`
	Receipt   string              `json:"receipt,omitempty"`
	Station   string              `json:"station,omitempty"` // that wrote it without a network, with what number, who and when
	Write     int64               `json:"write,omitempty"`
	Operator  string              `json:"operator,omitempty"`
	At        string              `json:"at,omitempty"`
	left
}

func serialObject(s token.Serial) string { return "serial " + s.String() }

func tokenObject(id token.ID) string { return "token " + strconv.FormatInt(int64(id), 10) }
