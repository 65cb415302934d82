package token

import (
	"fmt"
	"time"
)

// Phase is how far a write has come. Phases only move forward, in the order of the constants.
type Phase string

// The phases of a ledger entry. In Writing and Written the slot is uncertain: neither its former credential nor the new
// one validates.
const (
	Reserved  Phase = "reserved"  // the public ID is taken; no secret yet
	Sealed    Phase = "sealed"    // the secrets are durable and sealed; nothing was sent
	Writing   Phase = "writing"   // the first byte may have been sent
	Written   Phase = "written"   // the device said that it took the configuration
	Committed Phase = "committed" // end: the slot holds the new credential
	Aborted   Phase = "aborted"   // end: the slot holds what it held before
)

// Open reports whether the entry waits to be settled.
func (p Phase) Open() bool { return p != Committed && p != Aborted }

// Uncertain reports whether the slot may hold either the former or the new credential.
func (p Phase) Uncertain() bool { return p == Writing || p == Written }

// EntryID names a ledger entry.
type EntryID int64

// Entry is the write-ahead record of one write: of a slot, or, with Slot 0, of an account of the OATH application.
type Entry struct {
	ID         EntryID
	Phase      Phase
	Serial     Serial
	Slot       Slot
	Token      ID
	Credential Credential    // the new one; with its Secrets from Sealed on
	Former     *Credential   // the live credential that the slot held, with its Secrets; nil: none that we know
	Holder     *Person       // to be bound by the commit
	Handover   Handover      // what else the commit does
	Proof      ProofRequired // what the commit waits for
	Firmware   string
	Overwrite  string // "", "factory" or "foreign": what may be lost, as the operator said
	Reason     string // why something foreign was overwritten
	Elsewhere  bool   // an account whose codes another service checks: its secret is kept only until the key has it
	Created    time.Time
	Updated    time.Time
}

// Place is where the write goes, for people: "slot 2", or the account's name in quotes.
func (e Entry) Place() string {
	if id := e.Credential.Settings.Account; id != "" {
		return fmt.Sprintf("account %q", id)
	}
	return fmt.Sprintf("slot %d", e.Slot)
}

// ProofRequired is what a commit waits for.
type ProofRequired string

// The values of `provision --verify`.
const (
	ByTouch ProofRequired = "touch"
	ByHost  ProofRequired = "host" // challenge-response: a random challenge, answered; an account: a code, calculated
	NoProof ProofRequired = "none" // the first good OTP at the server is the proof
)

// Reservation is what a write asks the ledger for.
type Reservation struct {
	Serial    Serial // 0 is refused: an entry must find its device again
	Firmware  string
	Slot      Slot // 0: Settings.Account says where
	Kind      Kind
	PublicID  PublicID // unique among live credentials; a duplicate is ErrDuplicate
	Settings  Settings
	Holder    PersonID // 0: nobody
	Proof     ProofRequired
	Overwrite string // "", "factory" or "foreign": what the slot held, as the operator said
	Reason    string // the operator's reason, with Overwrite
	Handover  Handover
	Elsewhere bool // with Settings.Account: see Entry
}
