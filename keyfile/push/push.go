// Package push keeps tokens at servers that have an interface for it: it enrols, disables and enables them one at a time, while
// package keyfile's formats carry them in files.
//
// A Target is one server. Every method may be repeated: it looks first, and what is there already is not made again. So a
// request whose answer was lost is repeated safely; Patient does that. A token that is there with other parameters is refused
// and never overwritten. The servers are sub-packages: privacyidea, linotp, keycloak.
//
// Secrets travel in the bodies of requests only, over TLS with verification, and redirections are not followed. No error holds
// text that a server sent. The strings that a body is made of cannot be cleared and may remain in memory.
package push

import (
	"context"

	"github.com/tokendesk/tokendesk/keyfile"
)

// Kind is a kind of server.
type Kind string

// The kinds.
const (
	PrivacyIDEA Kind = "privacyidea"
	LinOTP      Kind = "linotp"
	Keycloak    Kind = "keycloak"
)

// Kinds lists them in the order in which they are shown.
func Kinds() []Kind { return []Kind{PrivacyIDEA, LinOTP, Keycloak} }

// Server says where a target is. Its credential is apart from it.
type Server struct {
	Name     string
	Kind     Kind
	URL      string // what its paths begin with: ParseURL
	Account  string // who we are there: an administrator or a client ID; empty: the credential is an API token (privacyIDEA)
	Realm    string // of the users there; empty: tokens are not assigned to their holders (not Keycloak)
	Resolver string // of the users there; may stay empty
}

// Place is where a token is at one server.
type Place struct {
	Serial  string // its name there: Serial
	Account string // its holder at the time of the push, empty: none
	Handle  string // what the server called the holder (Keycloak: the user's ID); empty: not known
}

// Target is one server. One goroutine uses it at a time. The errors are *AuthError, *RefusedError, *UnreachableError and the
// context's.
type Target interface {
	// Loss says what this server loses of rec; a fatal loss means that it must not be pushed.
	Loss(rec keyfile.Record) []keyfile.Loss
	// Enrol makes the token. It does not keep rec.
	Enrol(ctx context.Context, rec keyfile.Record, at Place) (Result, error)
	// Disable ends the token's validity there. A token that is not there is Gone.
	Disable(ctx context.Context, at Place) (Result, error)
	// Enable is the way back from Disable.
	Enable(ctx context.Context, rec keyfile.Record, at Place) (Result, error)
	// State looks.
	State(ctx context.Context, at Place) (State, error)
}

// State is what a server says of a token.
type State string

// The states.
const (
	Absent   State = "absent"
	Active   State = "active"
	Inactive State = "inactive"
)

// Status is what a call came to.
type Status string

// The statuses.
const (
	Enrolled     Status = "enrolled"
	AlreadyThere Status = "already there" // with the same parameters; no server tells the key, so that was not compared
	Disabled     Status = "disabled"
	Enabled      Status = "enabled"
	Gone         Status = "not there" // nothing to disable
)

// Result is a Status, and a Handle that is worth keeping if it is not empty.
type Result struct {
	Status Status
	Handle string
}
