package api

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// Checker decides about factors: *validate.Checker.
type Checker interface {
	Check(ctx context.Context, f validate.Factor) (validate.Checked, error)
	// Note is called after the answer was sent.
	Note(ctx context.Context, checked validate.Checked) error
}

// Doctor says why: *diagnose.Doctor.
type Doctor interface {
	Diagnose(ctx context.Context, q diagnose.Question) ([]diagnose.Finding, error)
	Keep(ctx context.Context, code string, a diagnose.Attempt) error
	Attempt(ctx context.Context, code string) (diagnose.Attempt, error)
}

// Desk is what staff do: *desk.Desk, whose docstrings hold. A query is desk.ByID of a number here.
type Desk interface {
	Staff
	Finder
	Life
	Codes
}

// Staff tells who asks.
type Staff interface {
	Authenticate(ctx context.Context, apiToken string) (desk.Operator, error)
	Operators(ctx context.Context) ([]desk.Operator, error)
}

// Finder looks things up.
type Finder interface {
	Search(ctx context.Context, query string, most int) ([]desk.Hit, error)
	Person(ctx context.Context, account string) (token.Person, []token.Token, error)
	Show(ctx context.Context, query string) (token.Token, []token.Credential, error)
	History(ctx context.Context, query string, most int) ([]desk.Happened, error)
}

// Life changes tokens.
type Life interface {
	Block(ctx context.Context, query string, b desk.Block) (was, now token.Token, effects desk.Effects, err error)
	Undo(ctx context.Context, query string) (token.Token, error)
	Restore(ctx context.Context, query string, codes []string) (token.Token, desk.Proof, error)
	Issue(ctx context.Context, query string, i desk.Issue) (token.Token, desk.Proof, error)
	Confirm(ctx context.Context, query string, codes []string, name string) (token.Token, desk.Proof, error)
	Resync(ctx context.Context, query, first, second string) (token.Token, token.Clock, desk.Proof, error)
	Release(ctx context.Context, query, why string) (token.Token, bool, error)
	Return(ctx context.Context, query string, codes []string, note string) (token.Token, desk.Proof, error)
	Retire(ctx context.Context, query, note string) (token.Token, error)
	PushStatus(ctx context.Context, queries ...string) ([]desk.Push, error)
	Remains(ctx context.Context, t token.Token) (desk.Remains, error)
	RemainsOf(ctx context.Context, t token.Token, before []token.Credential) (desk.Remains, error)
}

// Codes makes what stands in for a token, and what makes a token of a phone.
type Codes interface {
	TempCode(ctx context.Context, account string, c desk.TempCode) (secret.Bytes, desk.Code, error)
	RecoveryCodes(ctx context.Context, account string, n int) ([]secret.Bytes, error)
	Codes(ctx context.Context, account string) ([]desk.Code, error)
	Trust(ctx context.Context, person token.PersonID, by token.ID, client int64, name string) (secret.Bytes, error)
	Browsers(ctx context.Context, account string) ([]desk.Browser, error)
	RevokeBrowser(ctx context.Context, account string, id int64) error
	RevokeBrowsers(ctx context.Context, account string) (int, error)
	Enroll(ctx context.Context, account string, a desk.App, valid time.Duration) (desk.Link, error)
}

var (
	_ Desk    = (*desk.Desk)(nil)
	_ Doctor  = (*diagnose.Doctor)(nil)
	_ Checker = (*validate.Checker)(nil)
)
