package desk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/push"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Target is a server that tokens are pushed to.
type Target struct {
	ID int64
	push.Server
	Created time.Time
}

// Targets keeps them, and what was pushed to each.
type Targets interface {
	// AddTarget seals the credential; token.ErrDuplicate for a name that is taken.
	AddTarget(ctx context.Context, s push.Server, credential secret.Bytes) (int64, error)
	// SetTargetCredential replaces it.
	SetTargetCredential(ctx context.Context, id int64, credential secret.Bytes) error
	// ListTargets are all, by name, without credentials.
	ListTargets(ctx context.Context) ([]Target, error)
	// TargetCredential is one's credential, which the caller destroys.
	TargetCredential(ctx context.Context, id int64) (secret.Bytes, error)
	// RemoveTarget forgets a target and all that was pushed there. While tokens may be valid there it is a *LiveError, unless forced.
	RemoveTarget(ctx context.Context, id int64, force bool) error
	// WantPush makes, durable on return, the row of a credential that is to be at a target, or finds it. Blocked, revoked,
	// unwritten and uncertain ones are a *NotPushableError.
	WantPush(ctx context.Context, target int64, id token.CredentialID, at push.Place) (Push, error)
	// BeginPush notes that a try begins, and returns what it is to do.
	BeginPush(ctx context.Context, id PushID) (Push, error)
	// EndPush notes what the try came to, and returns the row as it is then: something else may be wanted by now.
	EndPush(ctx context.Context, e PushEnd) (Push, error)
	// Pushes are the selected rows, those to be disabled first.
	Pushes(ctx context.Context, f PushFilter) ([]Push, error)
}

// LiveError says that tokens may be valid at a target.
type LiveError struct {
	Target string
	Tokens int
}

func (e *LiveError) Error() string {
	return fmt.Sprintf("%d tokens may be valid at %s: block them first, or force it and see to them there", e.Tokens, e.Target)
}

// ErrTarget is a name that no target has.
var ErrTarget = errors.New("no target of this name: target list shows them")

// AddTarget registers a server that tokens are pushed to. The caller keeps the credential and destroys it. The errors are
// *TextError, push.ParseURL's, and token.ErrDuplicate.
func (d *Desk) AddTarget(ctx context.Context, s push.Server, credential secret.Bytes) (Target, error) {
	for _, f := range []struct {
		name, text string
		required   bool
	}{
		{"name", s.Name, true}, {"account", s.Account, s.Kind != push.PrivacyIDEA}, {"realm", s.Realm, s.Kind == push.Keycloak}, {"resolver", s.Resolver, false},
	} {
		if err := checkText(f.name, f.text, f.required); err != nil {
			return Target{}, err
		}
	}
	if !slices.Contains(push.Kinds(), s.Kind) {
		return Target{}, &TextError{"kind", "privacyidea, linotp and keycloak are possible"}
	}
	if _, err := push.ParseURL(s.URL); err != nil {
		return Target{}, err
	}
	if err := checkCredential(credential); err != nil {
		return Target{}, err
	}
	id, err := d.Store.AddTarget(ctx, s, credential)
	if err != nil {
		return Target{}, err
	}
	return Target{ID: id, Server: s, Created: d.Now()}, nil
}

func checkCredential(c secret.Bytes) error { return checkText("credential", string(c.Reveal()), true) }

// SetTargetCredential replaces the password, API token or client secret of a target, which the caller destroys.
func (d *Desk) SetTargetCredential(ctx context.Context, name string, credential secret.Bytes) error {
	if err := checkCredential(credential); err != nil {
		return err
	}
	t, err := d.target(ctx, name)
	if err != nil {
		return err
	}
	return d.Store.SetTargetCredential(ctx, t.ID, credential)
}

// Targets lists them by name, without credentials.
func (d *Desk) Targets(ctx context.Context) ([]Target, error) { return d.Store.ListTargets(ctx) }

// RemoveTarget forgets a target. While tokens may be valid there it is a *LiveError, unless forced.
func (d *Desk) RemoveTarget(ctx context.Context, name string, force bool) error {
	t, err := d.target(ctx, name)
	if err != nil {
		return err
	}
	return d.Store.RemoveTarget(ctx, t.ID, force)
}

func (d *Desk) target(ctx context.Context, name string) (Target, error) {
	list, err := d.Store.ListTargets(ctx)
	if err != nil {
		return Target{}, err
	}
	i := slices.IndexFunc(list, func(t Target) bool { return t.Name == name })
	if i < 0 {
		return Target{}, ErrTarget
	}
	return list[i], nil
}
