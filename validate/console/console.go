// Package console is the pages of the helpdesk, and the public one on which a person sets up an app.
//
// Somebody calls because a token is lost: staff type a name, a number or a support code into the one search field, see what the
// person holds, press the red button and give a temporary code. Pages are made on the server and hold no script; what a page does is a
// verb of package desk, the same as in the command line and the API. What an operator has no right to is not shown, and refused when
// it is tried: both by the one table in routes.go.
//
// A browser gets a session for an API token, in a cookie. Every form carries the session's CSRF value; whatever changes something
// is a POST. Nothing that could be a one-time password or a code is ever part of an address.
//
// /enroll/{value} needs no log-in: the link and the PIN are the right to it. A GET of it consumes nothing, because programs open
// the links in mails.
package console

import (
	"context"
	"net/http"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// Config is what the pages work with. Desk, Doctor and Now must be set.
type Config struct {
	Desk   Desk
	Doctor Doctor
	// Settle asks the servers that a token was given to for what is wanted there, for as long as ctx lasts; nil: there are none.
	Settle func(ctx context.Context, id token.ID)
	Now    func() time.Time
	// Observer is told of every request; nil: none.
	Observer validate.Observer
	// Limit reports whether an address asks too often; nil: never.
	Limit func(source string) bool
}

// Desk is *desk.Desk, as far as the pages need it.
type Desk interface {
	Sessions
	Tokens
	Persons
	Links
}

// Sessions are the operators who are logged in.
type Sessions interface {
	LogIn(ctx context.Context, apiToken string) (desk.Session, desk.Operator, error)
	Session(ctx context.Context, value string) (o desk.Operator, csrf string, err error)
	LogOut(ctx context.Context, value string) error
}

// Tokens are found, blocked and restored.
type Tokens interface {
	Search(ctx context.Context, query string, most int) ([]desk.Hit, error)
	Show(ctx context.Context, query string) (token.Token, []token.Credential, error)
	History(ctx context.Context, query string, most int) ([]desk.Happened, error)
	PushStatus(ctx context.Context, queries ...string) ([]desk.Push, error)
	ValidCertificates(ctx context.Context, t token.Token) ([]token.Certificate, error)
	Block(ctx context.Context, query string, b desk.Block) (was, now token.Token, effects desk.Effects, err error)
	Undo(ctx context.Context, query string) (token.Token, error)
	Restore(ctx context.Context, query string, codes []string) (token.Token, desk.Proof, error)
}

// Persons hold tokens, and get codes that stand in for one.
type Persons interface {
	Person(ctx context.Context, account string) (token.Person, []token.Token, error)
	Browsers(ctx context.Context, account string) ([]desk.Browser, error)
	RevokeBrowser(ctx context.Context, account string, id int64) error
	Codes(ctx context.Context, account string) ([]desk.Code, error)
	TempCode(ctx context.Context, account string, c desk.TempCode) (secret.Bytes, desk.Code, error)
	RevokeCodes(ctx context.Context, account string, kind desk.CodeKind) (int, error)
	Clients(ctx context.Context) ([]validate.Client, error)
}

// Links are how an app gets its secret.
type Links interface {
	OpenLink(ctx context.Context, value string) (desk.LinkState, error)
	ShowLink(ctx context.Context, value, pin string) (desk.LinkState, keyfile.Record, error)
	FinishLink(ctx context.Context, value, pin, code, name string) (desk.LinkState, desk.Proof, error)
}

// Doctor is *diagnose.Doctor.
type Doctor interface {
	Diagnose(ctx context.Context, q diagnose.Question) ([]diagnose.Finding, error)
	Attempt(ctx context.Context, code string) (diagnose.Attempt, error)
}

// Handler answers /console/ and /enroll/. Make it with New; it is safe for concurrent use.
type Handler struct {
	Config
	mux     *http.ServeMux
	pages   pages
	logins  caller.Wrongs
	guesses diagnose.Guesses
	foreign *http.CrossOriginProtection
	rights  map[string]desk.Right // by the name of a route
}

// New returns the handler.
func New(c Config) *Handler {
	h := &Handler{Config: c, mux: http.NewServeMux(), pages: parsePages(), foreign: http.NewCrossOriginProtection(), rights: map[string]desk.Right{}}
	for _, rt := range routes() {
		h.mux.HandleFunc(rt.pattern, h.serve(rt))
		if rt.name != "" {
			h.rights[rt.name] = rt.right
		}
	}
	for _, f := range []string{"/console/style.css", "/console/icon.svg", "/enroll/style.css", "/enroll/icon.svg"} {
		h.mux.HandleFunc("GET "+f, static)
	}
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	protect(w.Header())
	h.mux.ServeHTTP(w, r)
}

var _ http.Handler = (*Handler)(nil)
