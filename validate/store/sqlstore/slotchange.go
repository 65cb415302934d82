package sqlstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// BeginChange makes the record of a work durable, with the new access code sealed, before the key is asked. The slot's credential, and
// for a swap those of both slots, are read here: the caller's are not believed. While an erasure is open its
// credential validates: an OTP shows that the slot still has it. The errors are token.ErrUnsettled while a write or a work of the key is open, token.ErrNotFound for an unknown serial, and
// token.ErrConflict if the slot no longer holds the credential that the caller saw, and token.ErrDuplicate for a new name that another
// live account has.
func (s *Store) BeginChange(ctx context.Context, c token.SlotChange) (token.SlotChange, error) {
	out := c
	err := s.change(ctx, func(tx *tx) (err error) {
		out, err = tx.beginChange(ctx, c)
		return err
	})
	if err != nil {
		return token.SlotChange{}, fmt.Errorf("begin to %s slots of %s: %w", c.Work, c.Serial, translate(err))
	}
	return out, nil
}

func (t *tx) beginChange(ctx context.Context, c token.SlotChange) (token.SlotChange, error) {
	k, err := oneToken(ctx, t, `WHERE t.serial = ?`, c.Serial)
	if err != nil {
		return c, err
	}
	if err := t.settled(k.ID); err != nil {
		return c, err
	}
	held, err := t.heldFor(k.ID, c)
	if err != nil {
		return c, err
	}
	if held != [2]token.CredentialID{idOf(c.Credential), idOf(c.Other)} {
		return c, token.ErrConflict
	}
	if err := t.nameFree(k.ID, c); err != nil {
		return c, err
	}
	id, err := t.insert(`INSERT INTO slot_change (phase, work, token, slot, credential, other, ext_flags, ticket_flags, config_flags, has_code, account, new_account, new_issuer, firmware, reason, created, updated)
		VALUES ('writing', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, string(c.Work), k.ID, c.Slot, orNull(held[0]), orNull(held[1]),
		c.After.ExtFlags, c.After.TicketFlags, c.After.ConfigFlags, c.After.HasAccessCode, c.Account, c.After.Account, c.After.Issuer, c.Firmware, c.Reason, micros(t.now), micros(t.now))
	if err != nil {
		return c, err
	}
	if held[0] != 0 && c.Work == token.Update && c.Code.Len() > 0 {
		if err := t.putSecret(held[0], seal.NextCode, c.Code); err != nil {
			return c, err
		}
	}
	c.ID, c.Phase, c.Token, c.Created, c.Updated = token.ChangeID(id), token.Writing, k.ID, t.now, t.now
	if err := t.desk("slot."+string(c.Work), serialObject(c.Serial), changeDetailOf(c)); err != nil {
		return c, err
	}
	return c, nil
}

// heldFor are the credentials that a work is about: in its slot, in both, or of its account.
func (t *tx) heldFor(id token.ID, c token.SlotChange) (held [2]token.CredentialID, err error) {
	in := [2]token.Reservation{{Slot: c.Slot, Settings: token.Settings{Account: c.Account}}}
	if c.Work == token.Swap {
		in[0].Slot, in[1].Slot = 1, 2
	}
	for i, where := range in {
		if where.Slot == 0 && where.Settings.Account == "" {
			continue
		}
		if held[i], err = t.former(id, where); err != nil {
			return held, err
		}
	}
	return held, nil
}

// nameFree refuses a new name that another live account has, as far as we know: the key may have lost that one, and would take the name.
func (t *tx) nameFree(id token.ID, c token.SlotChange) error {
	if c.Work != token.RenameAccount || c.Credential == nil {
		return nil
	}
	taken, err := t.onAccount(id, c.After.Account)
	if err == nil && taken != 0 {
		err = fmt.Errorf("account %q: %w", c.After.Account, token.ErrDuplicate)
	}
	return err
}

func idOf(c *token.Credential) token.CredentialID {
	if c == nil {
		return 0
	}
	return c.ID
}

// changeDetail is the detail of the events of works.
type changeDetail struct {
	Change     token.ChangeID     `json:"change,omitempty"`
	Slot       token.Slot         `json:"slot,omitempty"`
	Credential token.CredentialID `json:"credential,omitempty"`
	Other      token.CredentialID `json:"other,omitempty"`
	OATH       string             `json:"oath_account,omitempty"`
	NewOATH    string             `json:"new_oath_account,omitempty"`
	Flags      string             `json:"flags,omitempty"` // ext/ticket/config after an update
	AccessCode *bool              `json:"access_code,omitempty"`
	Value      string             `json:"value,omitempty"` // of a key's setting
	Reason     string             `json:"reason,omitempty"`
}

func changeDetailOf(c token.SlotChange) changeDetail {
	d := changeDetail{Change: c.ID, Slot: c.Slot, Credential: idOf(c.Credential), Other: idOf(c.Other), OATH: c.Account, NewOATH: c.After.Account, Reason: c.Reason}
	if c.Work == token.Update {
		d.Flags = fmt.Sprintf("%02x/%02x/%02x", c.After.ExtFlags, c.After.TicketFlags, c.After.ConfigFlags)
		d.AccessCode = &c.After.HasAccessCode
	}
	return d
}

// EndChange says that the key did it: the record of the slots follows. token.ErrConflict: it is settled already.
func (s *Store) EndChange(ctx context.Context, id token.ChangeID) error {
	err := s.change(ctx, func(tx *tx) error {
		c, err := s.openChange(ctx, tx, id)
		if err != nil {
			return err
		}
		return tx.endChange(ctx, c)
	})
	if err != nil {
		return fmt.Errorf("end slot change %d: %w", id, translate(err))
	}
	return nil
}

func (t *tx) endChange(ctx context.Context, c token.SlotChange) error {
	var err error
	switch c.Work {
	case token.Update:
		err = t.updated(ctx, c)
	case token.Swap:
		err = t.swapped(c)
	case token.Erase, token.RemoveAccount:
		if c.Credential != nil {
			err = t.erased(ctx, c, *c.Credential)
		}
	case token.RenameAccount:
		err = t.renamed(c)
	case token.ResetOATH:
		err = t.resetOATH(ctx, c)
	}
	if err != nil {
		return err
	}
	return t.settleChange(c, token.Committed, "slot."+string(c.Work)+".done", changeDetailOf(c))
}

// updated takes over the flags and the access code.
func (t *tx) updated(ctx context.Context, c token.SlotChange) error {
	if c.Credential == nil {
		return nil
	}
	id, a := c.Credential.ID, c.After
	if _, err := t.Exec(`UPDATE credential SET ext_flags = ?, ticket_flags = ?, config_flags = ?, has_access_code = ? WHERE id = ?`,
		a.ExtFlags, a.TicketFlags, a.ConfigFlags, a.HasAccessCode, id); err != nil {
		return err
	}
	next, err := t.s.nextCode(ctx, t, id)
	if err != nil {
		return err
	}
	defer next.Destroy()
	if _, err := t.Exec(`DELETE FROM secret WHERE credential = ? AND what IN ('access-code', 'next-code')`, id); err != nil {
		return err
	}
	if next.Len() == 0 {
		return nil
	}
	return t.putSecret(id, seal.AccessCode, next)
}

// swapped moves what is in slot 1 to slot 2 and the other way. In between one has no slot, as the index of slots wants it.
func (t *tx) swapped(c token.SlotChange) error {
	for _, move := range []struct {
		of   *token.Credential
		slot token.Slot
	}{{c.Credential, 0}, {c.Other, 1}, {c.Credential, 2}} {
		if move.of == nil {
			continue
		}
		if _, err := t.Exec(`UPDATE credential SET slot = ? WHERE id = ?`, move.slot, move.of.ID); err != nil {
			return err
		}
	}
	return nil
}

// erased revokes what was there, and tells its holder.
func (t *tx) erased(ctx context.Context, c token.SlotChange, list ...token.Credential) error {
	list = slices.DeleteFunc(list, func(gone token.Credential) bool { return gone.State == token.Revoked })
	for _, gone := range list {
		next, err := gone.State.Next(token.Revoke)
		if err != nil {
			return err
		}
		if err := t.setCredentialState(gone.ID, next); err != nil {
			return err
		}
		if _, err := t.unwant(c.Token, gone.ID); err != nil {
			return err
		}
	}
	return t.tellErased(ctx, c.Token, list...)
}

// renamed takes over what the account is called now.
func (t *tx) renamed(c token.SlotChange) error {
	if c.Credential == nil {
		return nil
	}
	_, err := t.Exec(`UPDATE credential SET account = ?, issuer = ? WHERE id = ?`, c.After.Account, c.After.Issuer, c.Credential.ID)
	return err
}

// resetOATH revokes what was in the OATH application.
func (t *tx) resetOATH(ctx context.Context, c token.SlotChange) error {
	list, err := collect(ctx, t, scanCredential, `SELECT `+credentialColumns+credentialFrom+`WHERE c.token = ? AND c.account <> '' AND c.state NOT IN ('pending', 'revoked') ORDER BY c.id`, c.Token)
	if err != nil {
		return err
	}
	return t.erased(ctx, c, list...)
}

// DropChange says that the slots are as before. token.ErrConflict: it is settled already.
func (s *Store) DropChange(ctx context.Context, id token.ChangeID, reason string) error {
	err := s.change(ctx, func(tx *tx) error {
		c, err := s.openChange(ctx, tx, id)
		if err != nil {
			return err
		}
		if c.Credential != nil {
			if _, err := tx.Exec(`DELETE FROM secret WHERE credential = ? AND what = 'next-code'`, c.Credential.ID); err != nil {
				return err
			}
		}
		d := changeDetailOf(c)
		d.Reason = reason
		return tx.settleChange(c, token.Aborted, "slot."+string(c.Work)+".undone", d)
	})
	if err != nil {
		return fmt.Errorf("give up slot change %d: %w", id, translate(err))
	}
	return nil
}

// dropChanges gives up what is open on a token that is given up.
func (t *tx) dropChanges(ctx context.Context, id token.ID) error {
	open, err := collect(ctx, t, scanChange, changeText+`WHERE x.token = ? AND x.phase = 'writing'`, id)
	for _, r := range open {
		if err == nil {
			d := changeDetail{Change: r.ID, Slot: r.Slot, Reason: "its token was given up"}
			err = t.settleChange(r.SlotChange, token.Aborted, "slot."+string(r.Work)+".undone", d)
		}
	}
	return err
}

func (t *tx) settleChange(c token.SlotChange, to token.Phase, action string, d changeDetail) error {
	err := t.one(token.ErrConflict, `UPDATE slot_change SET phase = ?, updated = ? WHERE id = ? AND phase = 'writing'`, string(to), micros(t.now), c.ID)
	if err != nil {
		return err
	}
	if err := t.desk(action, serialObject(c.Serial), d); err != nil {
		return err
	}
	return t.enable(c.Token)
}

// openChange is a work that is not settled, without secrets; token.ErrConflict if it is.
func (s *Store) openChange(ctx context.Context, q querier, id token.ChangeID) (token.SlotChange, error) {
	r, err := scanChange(q.QueryRowContext(ctx, changeText+`WHERE x.id = ?`, id))
	if err == nil && r.Phase != token.Writing {
		err = fmt.Errorf("%w: it is %s", token.ErrConflict, r.Phase)
	}
	if err != nil {
		return r.SlotChange, err
	}
	return fillChange(ctx, q, r)
}

// OpenChanges lists the works that wait to be settled, oldest first, with their secrets, which the caller destroys.
func (s *Store) OpenChanges(ctx context.Context) ([]token.SlotChange, error) {
	var out []token.SlotChange
	err := s.readState(ctx, func(q querier) (err error) {
		out, err = s.openChangesIn(ctx, q)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read slot changes: %w", translate(err))
	}
	return out, nil
}

func (s *Store) openChangesIn(ctx context.Context, q querier) ([]token.SlotChange, error) {
	rows, err := collect(ctx, q, scanChange, changeText+`WHERE x.phase = 'writing' ORDER BY x.id`)
	if err != nil {
		return nil, err
	}
	var out []token.SlotChange
	for _, r := range rows {
		c, err := fillChange(ctx, q, r)
		for _, in := range []*token.Credential{c.Credential, c.Other} {
			if err == nil && in != nil {
				in.Secrets, err = s.secrets(ctx, q, in.ID)
			}
		}
		if err == nil && c.Credential != nil && c.After.HasAccessCode {
			c.Code, err = s.nextCode(ctx, q, c.Credential.ID)
		}
		out = append(out, c)
		if err != nil {
			for _, c := range out {
				c.Destroy()
			}
			return nil, err
		}
	}
	return out, nil
}

const changeText = `SELECT x.id, x.phase, x.work, coalesce(t.serial, 0), x.token, x.slot, coalesce(x.credential, 0), coalesce(x.other, 0),
	x.ext_flags, x.ticket_flags, x.config_flags, x.has_code, x.account, x.new_account, x.new_issuer, x.firmware, x.reason, x.created, x.updated
	FROM slot_change x JOIN token t ON t.id = x.token `

// changeRow is a work before its credentials are read.
type changeRow struct {
	token.SlotChange
	credential, other token.CredentialID
}

func scanChange(row scanner) (changeRow, error) {
	var c changeRow
	var created, updated int64
	a := &c.After
	err := row.Scan(&c.ID, &c.Phase, &c.Work, &c.Serial, &c.Token, &c.Slot, &c.credential, &c.other,
		&a.ExtFlags, &a.TicketFlags, &a.ConfigFlags, &a.HasAccessCode, &c.Account, &a.Account, &a.Issuer, &c.Firmware, &c.Reason, &created, &updated)
	c.Created, c.Updated = fromMicros(created), fromMicros(updated)
	return c, err
}

func fillChange(ctx context.Context, q querier, r changeRow) (token.SlotChange, error) {
	c := r.SlotChange
	for _, in := range []struct {
		id   token.CredentialID
		into **token.Credential
	}{{r.credential, &c.Credential}, {r.other, &c.Other}} {
		if in.id == 0 {
			continue
		}
		found, err := oneCredential(ctx, q, `WHERE c.id = ?`, in.id)
		if err != nil {
			return c, err
		}
		*in.into = &found
	}
	return c, nil
}

// NoteSlot puts into the audit chain what is being done to a slot of a key, or to a key (slot 0), of which no record goes by it.
func (s *Store) NoteSlot(ctx context.Context, serial token.Serial, what string, slot token.Slot, note string) error {
	err := s.change(ctx, func(tx *tx) error {
		return tx.desk("slot."+what, serialObject(serial), changeDetail{Slot: slot, Reason: note})
	})
	if err != nil {
		return fmt.Errorf("note slot %d of %s: %w", slot, serial, translate(err))
	}
	return nil
}
