package sqlstore

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// nameDetail is the detail of an event about what a token is called.
type nameDetail struct {
	Serial      token.Serial `json:"serial,omitempty"`
	Label       string       `json:"label,omitempty"`
	StockNumber *string      `json:"stock_number,omitempty"` // from now on; none: as before
	Name        *string      `json:"name,omitempty"`
}

// SetNames implements desk.Tokens.
func (s *Store) SetNames(ctx context.Context, id token.ID, n desk.Naming) error {
	_, err := s.live(ctx, id, func(tx *tx, k token.Token) error {
		detail, number, name := nameDetail{Serial: k.Serial, Label: k.Label}, k.StockNumber, k.Name
		if n.StockNumber != nil && *n.StockNumber != number {
			detail.StockNumber, number = n.StockNumber, *n.StockNumber
			if err := tx.freeStock(id, number); err != nil {
				return err
			}
		}
		if n.Name != nil && *n.Name != name {
			detail.Name, name = n.Name, *n.Name
			if k.Holder != nil && k.State != token.Revoked && name != "" {
				if err := tx.freeName(ctx, k.Holder.ID, id, name); err != nil {
					return err
				}
			}
		}
		if detail.StockNumber == nil && detail.Name == nil {
			return errUnchanged
		}
		if err := tx.one(token.ErrNotFound, `UPDATE token SET stock_number = ?, name = ? WHERE id = ?`, number, name, id); err != nil {
			return err
		}
		return tx.desk("token.set", tokenObject(id), detail)
	})
	return err
}

// freeStock refuses a stock number that another token has, or is about to have: it stands on its label.
func (t *tx) freeStock(id token.ID, number string) error {
	taken, err := t.stockNumberTaken(number, id)
	if err == nil && taken && number != "" {
		err = &desk.TextError{Field: "stock number", Cause: "is another token's"}
	}
	return err
}
