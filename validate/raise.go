package validate

import (
	"context"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Raise is what another validation server knows of a key: counters that were spent there.
type Raise struct {
	PublicID  token.PublicID
	Use       int // 15 bits; -1, as Session: never used
	Session   int // 8 bits
	Timestamp int // 24 bits
	Nonce     string
	At        time.Time // when they were spent
	Source    string    // who says so, for the audit chain
}

// ResultRaised and ReasonElsewhere are what the audit chain has of a Raise.
const (
	ResultRaised           = "RAISED"
	ReasonElsewhere Reason = "spent at another server"
)

// Raiser is the part of a store that learns from other validation servers. Reference validation-protocol.md §10: the counters are a
// max register, so raises may come in any order and any number of times.
type Raiser interface {
	// Raise raises the counters of the live credential that Counters' Find finds, if they are lower, whether or not its row is enabled; it
	// never lowers them, accepts nothing and enables nothing. It returns the row right before: nothing came between it and
	// the raise. What was raised is durable, with its event, before it returns; where nothing was, nothing is written.
	// token.ErrNotFound if there is no such credential: none is made.
	Raise(ctx context.Context, r Raise) (before Row, raised bool, err error)
}
