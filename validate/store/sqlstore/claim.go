package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// tellGenuine is what a station is told of genuine keys; nil where nothing is required.
func (t *tx) tellGenuine(ctx context.Context) (*journal.Genuine, error) {
	rule, err := ruleOf(ctx, t)
	if err != nil || !rule.Required {
		return nil, err
	}
	prints, err := rootPrints(rule.Roots)
	if err != nil {
		return nil, err
	}
	out := &journal.Genuine{Roots: string(rule.Roots)}
	known, err := collect(ctx, t, func(row scanner) (a token.Attestation, err error) {
		err = row.Scan(&a.Serial, &a.Root)
		return a, err
	}, `SELECT serial, root FROM attestation WHERE refused = '' ORDER BY serial`)
	for _, a := range known {
		if slices.Contains(prints, a.Root) {
			out.Proven = append(out.Proven, a.Serial)
		}
	}
	return out, err
}

// genuine holds a write against what is wanted of keys: by the site now, or by the snapshot that allowed it.
func (t *tx) genuine(ctx context.Context, station int64, w journal.Write) error {
	rule, err := ruleOf(ctx, t)
	if err != nil {
		return err
	}
	wanted := false
	err = t.QueryRow(`SELECT genuine FROM station_grant WHERE station = ? AND number = ?`, station, w.Plan.Grant).Scan(&wanted)
	if err != nil || !wanted && !rule.Required {
		return err
	}
	proven, err := provenBy(ctx, t, rule, w.Plan.Serial)
	if err == nil && !proven {
		err = conflictf("the key is not proven genuine: tokendesk device attest %s", w.Plan.Serial)
	}
	return err
}

// claimDetail is of what a station says.
type claimDetail struct {
	attestDetail
	Station  string `json:"station"`
	Operator string `json:"operator"`
	At       string `json:"at"`
}

// TakeClaim implements journal.Store.
func (s *Store) TakeClaim(ctx context.Context, station string, c journal.Claim) (journal.Taken, error) {
	err := s.change(ctx, func(tx *tx) error { return tx.takeClaim(ctx, station, c) })
	var conflict *conflictError
	switch {
	case err == nil:
		return journal.Taken{Outcome: journal.Done}, nil
	case errors.Is(err, errUnchanged):
		return journal.Taken{Outcome: journal.Already}, nil
	case errors.As(err, &conflict):
		return journal.Taken{Outcome: journal.Conflict, Why: conflict.why}, nil
	}
	return journal.Taken{}, fmt.Errorf("take what %s says of key %d: %w", station, c.Serial, translate(err))
}

func (t *tx) takeClaim(ctx context.Context, station string, c journal.Claim) error {
	a := token.Attestation{Serial: c.Serial, Refused: c.Refused}
	if c.Refused == "" {
		var err error
		if a, err = t.proveClaim(ctx, c); err != nil {
			return t.moot(ctx, c.Serial, err)
		}
	}
	a.Operator = c.Operator + " at " + station
	if a.At = fromMicros(micros(c.At)); a.At.After(t.now) { // its clock is wrong
		a.At = t.now
	}
	known, err := attestationOf(ctx, t, c.Serial)
	switch {
	case isNotFound(err):
	case err != nil:
		return err
	case a.At.Before(known.At), known.Genuine() && !a.Genuine(), known.Refused == a.Refused && slices.EqualFunc(known.Chain, a.Chain, slices.Equal):
		return errUnchanged
	}
	if err := t.putAttestation(a); err != nil {
		return err
	}
	return t.desk("journal.attest", serialObject(a.Serial), claimDetail{answerDetail(a), station, c.Operator, stamp(c.At)})
}

// moot is errUnchanged in place of a conflict about a key that is proven here otherwise: nothing is left to solve.
func (t *tx) moot(ctx context.Context, serial token.Serial, conflict error) error {
	if !errors.As(conflict, new(*conflictError)) {
		return conflict
	}
	rule, err := ruleOf(ctx, t)
	if err != nil {
		return err
	}
	proven, err := provenBy(ctx, t, rule, serial)
	switch {
	case err != nil:
		return err
	case proven:
		return errUnchanged
	}
	return conflict
}

// proveClaim proves again what a station says it proved, by the site's roots.
func (t *tx) proveClaim(ctx context.Context, c journal.Claim) (token.Attestation, error) {
	rule, err := ruleOf(ctx, t)
	if err != nil {
		return token.Attestation{}, err
	}
	var roots piv.Roots
	if len(rule.Roots) > 0 {
		if err := roots.Add(rule.Roots); err != nil {
			return token.Attestation{}, fmt.Errorf("%w: the site's roots", token.ErrIntegrity)
		}
	}
	a, err := piv.VerifyChain(roots, c.Chain, t.now)
	if err == nil && a.Serial != c.Serial {
		err = fmt.Errorf("it is of key %v", a.Serial)
	}
	if err != nil {
		return token.Attestation{}, conflictf("the station's proof does not hold here: %v", err)
	}
	return a.Kept(), nil
}
