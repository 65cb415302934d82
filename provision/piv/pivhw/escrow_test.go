package pivhw

import (
	"context"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

const testSerial = 7654321

var _ piv.Escrow = (*escrow)(nil)

// escrow is a store in memory, for one card.
type escrow struct{ rows []token.Escrow }

func (e *escrow) KeepEscrow(_ context.Context, _ token.Serial, what token.EscrowKind, s secret.Bytes) (token.EscrowID, error) {
	id := token.EscrowID(len(e.rows) + 1)
	e.rows = append(e.rows, token.Escrow{ID: id, What: what, Secret: s.Clone()})
	return id, what.Check(s)
}

func (e *escrow) Escrows(_ context.Context, _ token.Serial, what token.EscrowKind) (list []token.Escrow, _ error) {
	for _, row := range e.rows {
		if row.What == what {
			row.Secret = row.Secret.Clone()
			list = append([]token.Escrow{row}, list...)
		}
	}
	return list, nil
}

func (e *escrow) SettleEscrow(_ context.Context, _ token.Serial, what token.EscrowKind, held token.EscrowID) error {
	for i := range e.rows {
		if row := &e.rows[i]; row.What == what {
			row.Held = row.ID == held
			if !row.Held {
				row.What = ""
			}
		}
	}
	return nil
}

func (e *escrow) ForgetEscrow(_ context.Context, _ token.Serial, what token.EscrowKind, id token.EscrowID) error {
	for i := range e.rows {
		if row := &e.rows[i]; row.What == what && row.ID == id {
			row.Held, row.What = false, ""
		}
	}
	return nil
}

// text is the secret that the card was seen to have.
func (e *escrow) text(what token.EscrowKind) string {
	for _, row := range e.rows {
		if row.What == what && row.Held {
			return string(row.Secret.Reveal())
		}
	}
	return ""
}

func (e *escrow) count() (n int) {
	for _, row := range e.rows {
		if row.What != "" {
			n++
		}
	}
	return n
}
