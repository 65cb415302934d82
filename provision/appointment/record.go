package appointment

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Schema is the version of Record's JSON form. Fields may be added under the same number.
const Schema = 1

// Record is one thing that happened, as `provision desk -o json` prints it, one object a line.
type Record struct {
	Schema      int          `json:"schema"`
	Time        time.Time    `json:"time"`
	Event       Happening    `json:"event"`
	Step        Step         `json:"step"`
	Appointment int          `json:"appointment"`
	Account     string       `json:"account,omitempty"`
	Serial      token.Serial `json:"serial,omitempty"`
	Slot        token.Slot   `json:"slot,omitempty"`
	PublicID    string       `json:"public_id,omitempty"`
	Port        string       `json:"port,omitempty"`
	Check       desk.IDCheck `json:"id_check,omitempty"`
	Witness     string       `json:"second_operator,omitempty"`
	Use         Use          `json:"use,omitempty"`
	Number      string       `json:"number,omitempty"` // of a call
	Why         string       `json:"why,omitempty"`
	Receipt     string       `json:"receipt,omitempty"`
	Papers      []string     `json:"papers,omitempty"`
	Machine     int64        `json:"machine_ms,omitempty"`
	Pending     bool         `json:"pending,omitempty"` // until the journal is imported
	Shipped     bool         `json:"shipped,omitempty"`
	Recovered   bool         `json:"recovered,omitempty"`
	Revoke      []string     `json:"to_revoke,omitempty"` // certificates of the token that was replaced
	Card        string       `json:"card,omitempty"`      // oath or piv
	Accounts    []string     `json:"accounts,omitempty"`  // that are on the key
	PIV         bool         `json:"piv,omitempty"`       // it was set up
	Finish      []string     `json:"finish,omitempty"`    // the commands that do the rest
}

// done are the steps that are done by what happened.
var done = map[Happening]Step{
	DidSelect: Who, DidIdentify: Identity, DidInspect: Insert, DidWrite: Writing, DidProve: Touch, DidIssue: Binding, DidPrint: Receipt, DidNext: Removal,
}

// Happening names an event in JSON.
type Happening string

// The happenings.
const (
	DidOpen     Happening = "opened"
	DidSelect   Happening = "person"
	DidWarn     Happening = "warning"
	DidChoose   Happening = "use"
	DidIdentify Happening = "identity"
	DidArrive   Happening = "arrived"
	DidRemove   Happening = "removed"
	DidInspect  Happening = "key"
	DidAside    Happening = "aside"
	DidReserve  Happening = "reserved"
	DidSeal     Happening = "sealed"
	DidWrite    Happening = "written"
	DidAsk      Happening = "touch"
	DidMiss     Happening = "wrong-touch"
	DidProve    Happening = "proven"
	DidIssue    Happening = "issued"
	DidCard     Happening = "card"
	DidEquip    Happening = "equipped"
	DidNotEquip Happening = "not-equipped"
	DidInterr   Happening = "interrupted"
	DidResume   Happening = "resume"
	DidUndo     Happening = "undone"
	DidGiveUp   Happening = "given-up"
	DidPrint    Happening = "receipt"
	DidNotPrint Happening = "no-receipt"
	DidLose     Happening = "store-lost"
	DidFind     Happening = "store-back"
	DidCancel   Happening = "cancelled"
	DidRefuse   Happening = "refused"
	DidNext     Happening = "next"
	DidLeave    Happening = "closed"
)
