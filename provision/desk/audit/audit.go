// Package audit is the chain of events of a store: what was done, by whom, to what, so that a changed, missing or moved event
// is noticed by anybody who holds the public key, without the store.
//
// Every event carries the hash of the one before it in its chain. The last hash of each chain, its head, is signed in the
// same transaction, so that cutting off the end is noticed too. There is one chain of what staff do, Desk, and one for each
// process that validates; the desk chain announces those and holds checkpoints of them, so that a whole chain cannot vanish.
// The other way round validations tell where the desk chain stood, so that one chain cannot be put back to an earlier head.
//
// It is pure: a store writes with Link, signs what Head.Message gives, and reads back through Verify, which takes the events of any source.
//
// What this does not notice: chains that were put back to an earlier state, with the heads of then, as far as no event of another
// chain tells of them: the audit as a whole; of the desk chain, what followed the last validation; of a server that was killed,
// what followed its last checkpoint. Who keeps the heads of a Report elsewhere notices that by comparing.
package audit

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"
)

// Desk is the chain of what staff do. The chains of validating processes begin with ValidatePrefix.
const (
	Desk           = "desk"
	ValidatePrefix = "validate-"
)

// Domains of the hashed and the signed text.
const (
	eventDomain = "tokendesk audit event 1"
	headDomain  = "tokendesk audit head 1"
)

// Actions by which the desk chain speaks about the other chains. The event's Object is the chain; Detail is a Mark.
const (
	Opened     = "audit.opened"
	Checkpoint = "audit.checkpoint"
)

// Mark is the detail of an Opened or Checkpoint event: how far a chain had come.
type Mark struct {
	Seq  int64 `json:"seq"`
	Hash Hash  `json:"hash"`
}

// Anchor is a part of the detail of events outside the desk chain: how far the desk chain had come. It is left out where it is as
// in the event before.
type Anchor struct {
	Desk *Mark `json:"desk,omitempty"`
}

// Event is one link of a chain. Neither secrets nor one-time passwords are ever in it.
type Event struct {
	Chain  string    `json:"chain"`
	Seq    int64     `json:"seq"`    // from 1, without gaps
	At     time.Time `json:"at"`     // UTC, to the microsecond
	Actor  string    `json:"actor"`  // who did it
	Action string    `json:"action"` // "token.block", "validate", …
	Object string    `json:"object"` // what it was done to
	Detail string    `json:"detail"` // a JSON object, hashed as it stands
	Prev   Hash      `json:"prev"`   // of Seq-1; zero for the first
	Hash   Hash      `json:"hash"`
}

// Sum is SHA-256 over domain, chain, actor, action, object and detail, each with its length as 32 bits before it; then Seq as
// 64 bits, At as 64 bits of microseconds since 1970, Prev [32]. All numbers are big-endian.
func (e Event) Sum() Hash {
	b := make([]byte, 0, 512)
	for _, f := range []string{eventDomain, e.Chain, e.Actor, e.Action, e.Object, e.Detail} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(e.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	b = append(b, e.Prev[:]...)
	return sha256.Sum256(b)
}

// Link puts e at the end of the chain whose head is given, and returns it with Chain, Seq, Prev and Hash set and At cut to
// the microsecond. Its texts are made such that every database and JSON hold them as they are: UTF-8 without NUL. A chain begins with
// the head Head{Chain: name}.
func Link(head Head, e Event) Event {
	for _, f := range []*string{&e.Actor, &e.Action, &e.Object, &e.Detail} {
		*f = strings.ReplaceAll(strings.ToValidUTF8(*f, "\uFFFD"), "\x00", "\uFFFD")
	}
	e.Chain, e.Seq, e.Prev = head.Chain, head.Seq+1, head.Hash
	e.At = e.At.UTC().Truncate(time.Microsecond)
	e.Hash = e.Sum()
	return e
}

// Head is the end of a chain, signed.
type Head struct {
	Chain     string    `json:"chain"`
	Seq       int64     `json:"seq"`
	Hash      Hash      `json:"hash"`
	At        time.Time `json:"at"`        // of the event at Seq
	Signature []byte    `json:"signature"` // Ed25519, 64 bytes
}

// HeadOf is the head that e makes, not signed yet.
func HeadOf(e Event) Head { return Head{Chain: e.Chain, Seq: e.Seq, Hash: e.Hash, At: e.At} }

// Message is what is signed: domain and chain with their lengths as in Event.Sum, then Seq, At, Hash [32].
func (h Head) Message() []byte {
	b := make([]byte, 0, 160)
	for _, f := range []string{headDomain, h.Chain} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(f)))
		b = append(b, f...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(h.Seq))
	b = binary.BigEndian.AppendUint64(b, uint64(h.At.UnixMicro()))
	return append(b, h.Hash[:]...)
}

// Signed reports whether the signature is right.
func (h Head) Signed(public ed25519.PublicKey) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, h.Message(), h.Signature)
}
