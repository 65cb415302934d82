package desk

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// How long a session lives. Source: PRODUCT.md §5.2. That it was used is noted at most once in SessionNote, so that a busy page
// does not write with each request; an idle one ends up to that much earlier.
const (
	SessionIdle = 15 * time.Minute
	SessionMost = 8 * time.Hour
	SessionNote = time.Minute
)

// Session is what a browser gets at log-in. Value goes into the cookie; CSRF comes back in every form, and may be shown
// to whoever has the value.
type Session struct {
	Value secret.Bytes
	CSRF  string
}

// LogIn exchanges an API token for a session; token.ErrNotFound for a wrong one. It is an event of the audit chain. The caller
// destroys the value once it is sent.
func (d *Desk) LogIn(ctx context.Context, apiToken string) (Session, Operator, error) {
	given := secret.New([]byte(apiToken))
	defer given.Destroy()
	value, err := randomText(d.Rand)
	if err != nil {
		return Session{}, Operator{}, err
	}
	csrf, err := randomText(d.Rand)
	if err != nil {
		return Session{}, Operator{}, err
	}
	defer csrf.Destroy()
	s := Session{value, string(csrf.Reveal())}
	o, err := d.Store.AddSession(ctx, given, value, s.CSRF)
	if err != nil {
		value.Destroy()
		return Session{}, Operator{}, err
	}
	return s, o, nil
}

// Session finds the operator of a session and its CSRF value; token.ErrNotFound once it has ended: after SessionIdle without a
// request, after SessionMost, at log-out, or with its operator.
func (d *Desk) Session(ctx context.Context, value string) (o Operator, csrf string, err error) {
	given := secret.New([]byte(value))
	defer given.Destroy()
	return d.Store.Session(ctx, given)
}

// LogOut ends a session; one that has ended already is no error.
func (d *Desk) LogOut(ctx context.Context, value string) error {
	given := secret.New([]byte(value))
	defer given.Destroy()
	return d.Store.EndSession(ctx, given)
}
