// Package journal is the write-ahead record of a station that writes keys without a network: provision.Ledger in a file, sealed to
// the server's public key, which the station cannot read back.
//
//	on the server   Snapshot.Sign: the persons, profiles and known keys of a station, the rule of genuine keys, a limit and an end; no secrets
//	on the station  Install, Open; then KeepAttestation, Reserve, Seal, Mark, Commit, Abort as with the store
//	on the server   Read, Import: each write counts once, whatever number of copies comes
//
// A record is durable, signed by the station and chained to the one before it, before the method that made it returns: a torn end is
// found and cut, a record in the middle cannot be dropped, changed or put elsewhere (frame.go). The secrets of a write are sealed twice:
// in the journal, for the server alone; and, while the write is open, in a file beside it under the station's own key, so that the
// same secret can be written again after an interruption. That file is overwritten and removed as soon as the write is settled
// (escrow.go).
//
// What this does not do: whoever has a copy of the whole station can read the secrets of the writes that were open when it was made,
// and can sign what the station could. A disk may keep what was overwritten. The end of a journal that was never
// imported can be cut off by who owns the station; gaps in the numbers of receipts show that later.
package journal

import (
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// The reasons why a station refuses, beside those of package token.
var (
	ErrOver        = errors.New("the time of the station's snapshot is over")
	ErrMost        = errors.New("the station has issued as many keys as its snapshot allows")
	ErrNeedsServer = errors.New("the server's network is needed: what guards this slot is known there alone")
	ErrHeld        = errors.New("somebody else holds the key")
	ErrBusy        = errors.New("another program has the journal open")
	ErrDamaged     = errors.New("the journal is damaged")
	ErrBroken      = errors.New("the journal could not be written: nothing is taken any more until it is opened anew")
	ErrSignature   = errors.New("the signature does not fit")
	ErrOther       = errors.New("it belongs to another store or station")
	ErrOlder       = errors.New("a newer snapshot is installed")
	ErrVersion     = errors.New("another version of tokendesk made it")
	ErrNotProven   = errors.New("the site wants keys that are proven genuine, and this one is not")
)

// Event is what a record says of a write, or of a key.
type Event string

// The events, in the order of a write's life.
const (
	Reserve Event = "reserve"
	Seal    Event = "seal"
	Writing Event = "writing"
	Written Event = "written"
	Commit  Event = "commit"
	Abort   Event = "abort"
)

// Attest says whether a key is genuine. It belongs to no write.
const Attest Event = "attest"

// Header is the first record of a journal.
type Header struct {
	Schema  int       `json:"schema"`
	Series  string    `json:"series"` // 16 random bytes, hexadecimal: tells this journal from any other
	Station string    `json:"station"`
	Public  string    `json:"public"` // the station's Ed25519 key, hexadecimal
	Created time.Time `json:"created"`
}

// Record is one of the others. Fields that do not belong to its event are zero.
type Record struct {
	Seq      int64     `json:"seq"` // from 1
	At       time.Time `json:"at"`
	Operator string    `json:"operator"`
	Event    Event     `json:"event"`
	Entry    int64     `json:"entry"` // from 1, in the order of the reservations; 0 of Attest

	Plan     *Plan     `json:"plan,omitempty"`     // of Reserve
	Sealed   []byte    `json:"sealed,omitempty"`   // of Seal: for the server
	Proof    *Proof    `json:"proof,omitempty"`    // of Commit; none: the first good OTP is it
	Receipt  int64     `json:"receipt,omitempty"`  // of Commit
	Reason   string    `json:"reason,omitempty"`   // of Abort
	Attested *Attested `json:"attested,omitempty"` // of Attest
	Hash     [32]byte  `json:"-"`                  // the chain's value after it
}

// Plan is a reservation as it is written down.
type Plan struct {
	Grant     int64               `json:"grant"` // the snapshot that allowed it
	Serial    token.Serial        `json:"serial"`
	Firmware  string              `json:"firmware"`
	Slot      token.Slot          `json:"slot"`
	Kind      token.Kind          `json:"kind"`
	PublicID  token.PublicID      `json:"public_id"`
	Settings  token.Settings      `json:"settings"`
	Holder    string              `json:"holder,omitempty"` // account
	Proof     token.ProofRequired `json:"verify"`
	Overwrite string              `json:"overwrite,omitempty"`
	Reason    string              `json:"reason,omitempty"`
	IDCheck   token.IDCheck       `json:"id_check,omitempty"`
	Replace   token.ID            `json:"replace,omitempty"` // the server's number of that token
	Note      string              `json:"note,omitempty"`
}

// Proof are the counters of the OTP or answer that proved a write.
type Proof struct {
	Use       int       `json:"use"`
	Session   int       `json:"session"`
	Timestamp int       `json:"timestamp"`
	Moving    int64     `json:"moving"`
	At        time.Time `json:"at"`
}

func proofOf(c token.Counters) *Proof {
	return &Proof{c.Use, c.Session, c.Timestamp, c.Moving, c.At}
}

// Counters are the proof's.
func (p Proof) Counters() token.Counters {
	return token.Counters{Use: p.Use, Session: p.Session, Timestamp: p.Timestamp, Moving: p.Moving, At: p.At}
}

// Entry is one write as the records tell it.
type Entry struct {
	ID       int64
	Plan     Plan
	Phase    token.Phase
	Sealed   []byte // the secrets, for the server; nil before token.Sealed
	Proof    *Proof
	Receipt  int64
	Reason   string // of an abort
	Operator string // of the last record
	Started  time.Time
	At       time.Time // of the last record
	Hash     [32]byte  // the chain's value there
}

// entries is what the records say, in their order. What a station never writes is ErrDamaged.
type entries struct {
	list     []*Entry
	receipts int64
	answers  map[token.Serial]Attested // the last of each key
}

func (e *entries) one(id int64) *Entry {
	if id < 1 || id > int64(len(e.list)) {
		return nil
	}
	return e.list[id-1]
}

// add takes one record.
func (e *entries) add(r Record) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: record %d (%q): %s", ErrDamaged, r.Seq, r.Event, why)
	}
	if r.Event == Attest {
		if r.Attested == nil || r.Entry != 0 || !r.Attested.valid() {
			return bad("no answer")
		}
		if e.answers == nil {
			e.answers = map[token.Serial]Attested{}
		}
		e.answers[r.Attested.Serial] = *r.Attested
		return nil
	}
	if r.Event == Reserve {
		if r.Plan == nil || r.Entry != int64(len(e.list))+1 {
			return bad("out of order")
		}
		e.list = append(e.list, &Entry{ID: r.Entry, Plan: *r.Plan, Phase: token.Reserved, Operator: r.Operator, Started: r.At, At: r.At, Hash: r.Hash})
		return nil
	}
	w := e.one(r.Entry)
	if w == nil || !w.Phase.Open() {
		return bad("no such write is open")
	}
	next, ok := after(w, r)
	if !ok {
		return bad("not possible when it is " + string(w.Phase))
	}
	w.Phase, w.At, w.Hash, w.Operator = next, r.At, r.Hash, r.Operator
	switch r.Event {
	case Seal:
		w.Sealed = r.Sealed
	case Commit:
		w.Proof, w.Receipt = r.Proof, r.Receipt
		if r.Receipt != 0 {
			if r.Receipt != e.receipts+1 {
				return bad("its receipt is out of order")
			}
			e.receipts = r.Receipt
		}
	case Abort:
		w.Reason = r.Reason
	}
	return nil
}

// after is the phase after a record; the rules are those of the store's ledger.
func after(w *Entry, r Record) (token.Phase, bool) {
	switch r.Event {
	case Seal:
		return token.Sealed, w.Phase == token.Reserved && len(r.Sealed) > 0
	case Writing:
		return token.Writing, w.Phase == token.Sealed
	case Written:
		return token.Written, w.Phase == token.Sealed || w.Phase == token.Writing
	case Commit:
		ok := w.Phase.Uncertain() && (r.Proof != nil || w.Plan.Proof == token.NoProof && w.Phase == token.Written)
		return token.Committed, ok && (r.Receipt != 0) == (w.Plan.IDCheck != "")
	case Abort:
		return token.Aborted, true
	}
	return "", false
}
