// Package desk is what staff do, each verb once for the command line, the API and the pages: register persons and relying
// servers, find, block and restore tokens, and move keys between tokens and key files.
//
// A QUERY names one token: its serial, a public ID, its stock number or label, its holder's account or name, or an OTP typed
// into the field. More than one hit is an *AmbiguousError that lists them, never a guess.
//
// Every change is written to the audit chain by the store, in the same transaction.
package desk

import (
	"context"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Desk does it. It may be used from any number of goroutines if its fields may.
type Desk struct {
	Store Store
	Now   func() time.Time
	Rand  io.Reader // crypto/rand.Reader outside tests
}

// Store is where it is kept. Methods that change something do it in one transaction, with its audit event, durable on return.
type Store interface {
	People
	Tokens
	Life
	Handovers
	Trust
	Searcher
	Clients
	RADIUS
	Operators
	Profiles
	KeyFiles
	Targets
	Apps
	Codes
	Browsers
	Links
	Notices
}

// People keeps persons.
type People interface {
	// AddPersons adds all that are new, and says of each whether it was added; false: the account exists already.
	AddPersons(ctx context.Context, list []token.Person) ([]bool, error)
	// Persons are all, by account.
	Persons(ctx context.Context) ([]token.Person, error)
	// Person is the one with this account; token.ErrNotFound.
	Person(ctx context.Context, account string) (token.Person, error)
	// SetGroups puts a person into groups and takes the person out of others; token.ErrNotFound. What is so already is no error.
	SetGroups(ctx context.Context, account string, add, remove []string) error
}

// Tokens keeps tokens.
type Tokens interface {
	// Attestation is the last answer to whether a key is genuine; token.ErrNotFound: it was never asked.
	Attestation(ctx context.Context, serial token.Serial) (token.Attestation, error)
	// Certificates are those that a key was seen with, also such as are gone, by slot, the newest first.
	Certificates(ctx context.Context, serial token.Serial) ([]token.Certificate, error)
	// Escrowed are the kinds of secrets that are kept for a key, in no order.
	Escrowed(ctx context.Context, serial token.Serial) ([]token.EscrowKind, error)
	// Tokens are those that match, by number.
	Tokens(ctx context.Context, m Match) ([]token.Token, error)
	// Credentials are all of a token, also revoked ones, without secrets.
	Credentials(ctx context.Context, id token.ID) ([]token.Credential, error)
	// SetNames changes what a token is called; a *TextError for a name that another live token of the holder has.
	SetNames(ctx context.Context, id token.ID, n Naming) error
	// Find is validate.Counters' Find.
	Find(ctx context.Context, id token.PublicID) (validate.Credential, error)
}

// KeyFiles moves secrets.
type KeyFiles interface {
	// Exportable are the credentials of the default set: proven, not blocked, not uncertain; or, with tokens named, the live
	// ones of those, whatever their state, but never a pending one. Those of one person follow one another.
	Exportable(ctx context.Context, tokens []token.ID) ([]token.CredentialID, error)
	// BeginExport writes the audit event, before the first secret is read; accounts on keys among the list are shared from then on.
	BeginExport(ctx context.Context, e Export, list []token.CredentialID) error
	// Record reads one credential with its secrets, which the caller destroys.
	Record(ctx context.Context, id token.CredentialID) (keyfile.Record, error)
	// Import adds what is new and says what became of each record; it never overwrites.
	Import(ctx context.Context, source string, list []keyfile.Record) ([]Imported, error)
	// Preview says what Import would make of each record by itself, and changes nothing.
	Preview(ctx context.Context, list []keyfile.Record) ([]Imported, error)
	// TakeOver adds the keys that come along and are new, raises counters, blocks what is inactive, each key in one step, and says
	// what became of each. dry: it says so and changes nothing.
	TakeOver(ctx context.Context, source string, list []Foreign, dry bool) ([]Imported, error)
}

// Match selects tokens by any of its fields; the zero Match selects all.
type Match struct {
	ID        token.ID
	Serial    token.Serial
	PublicIDs []token.PublicID // of live credentials; if none, of revoked ones
	Text      string           // stock number, label, account (exact) or name (whole, case ignored)
}
