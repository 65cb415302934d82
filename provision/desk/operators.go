package desk

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Operator is a member of staff who comes by the API or the pages.
type Operator struct {
	ID      int64
	Name    string // in the audit chain as "operator NAME"; never given to somebody else
	Roles   []Role
	Active  bool // false: revoked
	Created time.Time
}

// May reports whether the operator has the right by any of the roles. A revoked one has none.
func (o Operator) May(right Right) bool {
	return o.Active && slices.ContainsFunc(o.Roles, func(r Role) bool { return r.Grants(right) })
}

// Actor is the operator in the audit chain: token.WithActor.
func (o Operator) Actor() string { return "operator " + o.Name }

// ErrRole is a role that does not exist, or none at all.
var ErrRole = errors.New("the roles are provisioner, issuer, helpdesk, auditor, admin")

// Operators keeps members of staff and their sessions. Of API tokens and session values only keyed hashes are kept.
type Operators interface {
	// AddOperator gives o a number; token.ErrDuplicate for a name that is or was taken.
	AddOperator(ctx context.Context, o Operator, apiToken secret.Bytes) (Operator, error)
	// ListOperators are all, by name, revoked ones too.
	ListOperators(ctx context.Context) ([]Operator, error)
	// RevokeOperator ends the operator and the sessions in one transaction; token.ErrNotFound, token.ErrConflict if it was done.
	RevokeOperator(ctx context.Context, name string) error
	// Authenticate finds the active operator with this API token; token.ErrNotFound. An unknown text costs the same work.
	Authenticate(ctx context.Context, apiToken secret.Bytes) (Operator, error)
	// AddSession begins a session for the active operator with this API token; token.ErrNotFound.
	AddSession(ctx context.Context, apiToken, value secret.Bytes, csrf string) (Operator, error)
	// Session finds a session that has not ended, whose operator is active, and notes that it is in use; token.ErrNotFound.
	Session(ctx context.Context, value secret.Bytes) (Operator, string, error)
	// EndSession forgets it; no error if there is none.
	EndSession(ctx context.Context, value secret.Bytes) error
}

// apiTokenPrefix is in front of an API token, 32 random bytes as base64url: by it a token is known when it turns up in a wrong place.
const apiTokenPrefix = "td_"

// AddOperator registers a member of staff. The API token is in the answer; the caller shows it once and destroys it. The errors
// are *TextError, ErrRole and token.ErrDuplicate.
func (d *Desk) AddOperator(ctx context.Context, name string, roles []Role) (Operator, secret.Bytes, error) {
	if err := checkText("name", name, true); err != nil {
		return Operator{}, secret.Bytes{}, err
	}
	if len(roles) == 0 || slices.ContainsFunc(roles, func(r Role) bool { return !slices.Contains(Roles(), r) }) {
		return Operator{}, secret.Bytes{}, ErrRole
	}
	var each []Role // once, in order
	for _, r := range Roles() {
		if slices.Contains(roles, r) {
			each = append(each, r)
		}
	}
	text, err := randomText(d.Rand)
	if err != nil {
		return Operator{}, secret.Bytes{}, err
	}
	defer text.Destroy()
	apiToken := secret.New(append([]byte(apiTokenPrefix), text.Reveal()...))
	o, err := d.Store.AddOperator(ctx, Operator{Name: name, Roles: each, Active: true}, apiToken)
	if err != nil {
		apiToken.Destroy()
		return Operator{}, secret.Bytes{}, err
	}
	return o, apiToken, nil
}

// Operators lists all, by name.
func (d *Desk) Operators(ctx context.Context) ([]Operator, error) { return d.Store.ListOperators(ctx) }

// RevokeOperator ends an operator, the API token and all sessions: every later request is refused, in every process.
func (d *Desk) RevokeOperator(ctx context.Context, name string) error {
	return d.Store.RevokeOperator(ctx, name)
}

// Authenticate finds the operator of an API token; token.ErrNotFound. The caller limits how often somebody may try, though
// 256 bits are not guessed.
func (d *Desk) Authenticate(ctx context.Context, apiToken string) (Operator, error) {
	given := secret.New([]byte(apiToken))
	defer given.Destroy()
	return d.Store.Authenticate(ctx, given)
}
