package validate

import (
	"context"
	"errors"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// ReadOnlyFactors answers as f does and writes nothing, so nothing is charged or spent: `tokendesk verify --dry-run`.
func ReadOnlyFactors(f Factors) Factors { return readOnlyFactors{readOnly{f}, f} }

type readOnly struct{ Counters }

// Accept compares with the row as it is now.
func (r readOnly) Accept(ctx context.Context, a Advance) (bool, error) {
	c, err := r.Find(ctx, a.Event.PublicID)
	if errors.Is(err, token.ErrNotFound) || err == nil && c.ID != a.Credential {
		return false, nil
	}
	otp := yubiotp.Token{UseCounter: uint16(a.Use), SessionCounter: uint8(a.Session)}
	return err == nil && Decide(c.Row, otp, a.Nonce).Outcome == Accepted, err
}

func (readOnly) Spend(context.Context, Advance) error { return nil }

func (readOnly) Note(context.Context, Advance) error { return nil }

type readOnlyFactors struct {
	readOnly
	factors Factors
}

// Attempt drops the Ruling.
func (r readOnlyFactors) Attempt(ctx context.Context, req AttemptRequest, decide func(Holding) Ruling) error {
	h, err := r.factors.Look(ctx, req)
	if err == nil {
		_ = decide(h)
	}
	return err
}

func (r readOnlyFactors) Look(ctx context.Context, req AttemptRequest) (Holding, error) {
	return r.factors.Look(ctx, req)
}
