package api

import (
	"context"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// nobody is a diagnose.Store without anything in it: what a Doctor finds with it is about the text alone.
type nobody struct{}

func (nobody) Subject(context.Context, string, string) (diagnose.Subject, error) {
	return diagnose.Subject{}, nil
}

func (nobody) Holders(context.Context, []token.PublicID) ([]diagnose.Held, error) { return nil, nil }

func (nobody) CredentialSecrets(context.Context, token.CredentialID) (token.Secrets, error) {
	return token.Secrets{}, token.ErrNotFound
}

func (nobody) Health(context.Context) (diagnose.Health, error) { return diagnose.Health{}, nil }

func (nobody) KeepAttempt(context.Context, diagnose.Attempt) error { return token.ErrNotFound }

func (nobody) FindAttempt(context.Context, string) (diagnose.Attempt, error) {
	return diagnose.Attempt{}, token.ErrNotFound
}
