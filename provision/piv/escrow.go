package piv

import (
	"context"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Escrow keeps the secrets of cards: the store. Every change is durable before it returns, and writes its audit event in the same
// transaction.
type Escrow interface {
	// KeepEscrow seals a secret before it goes to a card.
	KeepEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, s secret.Bytes) (token.EscrowID, error)
	// Escrows are the secrets of a kind, the one that the card was seen to have first, then the newest first. The caller destroys them.
	Escrows(ctx context.Context, serial token.Serial, what token.EscrowKind) ([]token.Escrow, error)
	// SettleEscrow says which secret the card was seen to have, 0 for none. The others of that kind are forgotten.
	SettleEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, held token.EscrowID) error
	// ForgetEscrow forgets one secret that the card was seen not to have; others of that kind stay: another run may have them on their way.
	// One that is not there is no error.
	ForgetEscrow(ctx context.Context, serial token.Serial, what token.EscrowKind, id token.EscrowID) error
}

// Secrets are what the store has for one card.
type Secrets struct{ PIN, PUK, Management []token.Escrow }

// Destroy clears them all.
func (s Secrets) Destroy() {
	for _, list := range [][]token.Escrow{s.PIN, s.PUK, s.Management} {
		for _, e := range list {
			e.Secret.Destroy()
		}
	}
}

// Given is what the operator gave in place of what the store has. The operator's side destroys it.
type Given struct {
	PIN, PUK, Management secret.Bytes
	// LastTry: the one try that is left may be used.
	LastTry bool
}

// secrets reads what the store has for a card.
func (r *Runner) secrets(ctx context.Context, serial token.Serial) (s Secrets, err error) {
	defer func() {
		if err != nil {
			s.Destroy()
			s = Secrets{}
		}
	}()
	if serial == 0 {
		return s, ErrNoSerial
	}
	if s.PIN, err = r.Escrow.Escrows(ctx, serial, token.PIVPIN); err != nil {
		return s, err
	}
	if s.PUK, err = r.Escrow.Escrows(ctx, serial, token.PIVPUK); err != nil {
		return s, err
	}
	s.Management, err = r.Escrow.Escrows(ctx, serial, token.PIVManagementKey)
	return s, err
}

// held is the secret that the card was seen to have, if there is one.
func held(list []token.Escrow) (token.Escrow, bool) {
	if len(list) > 0 && list[0].Held {
		return list[0], true
	}
	return token.Escrow{}, false
}

// inFlight is the newest secret that was on its way to the card, if there is one.
func inFlight(list []token.Escrow) (token.Escrow, bool) {
	for _, e := range list {
		if !e.Held {
			return e, true
		}
	}
	return token.Escrow{}, false
}
