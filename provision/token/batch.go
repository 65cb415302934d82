package token

import (
	"errors"
	"slices"
	"time"
)

// BatchID names a batch in one store, and is its number for people.
type BatchID int64

// Batch is a number of keys that are written by one profile, one after the other or several at once.
type Batch struct {
	ID          BatchID
	Profile     string // its name
	ProfileText string // as it was when the batch began
	Slot        Slot
	StockPrefix string // of the stock numbers; "": the keys get none
	Wanted      int    // how many keys
	Touch       string // "all", "none" or "sample:N", as the profile writes it
	Sample      []int  // with "sample:N" the positions that are proven by touch, in order, drawn when the batch began
	Order       string // what people want to find it by
	Place       string
	Budget      string
	Ticket      string
	Operator    string // who began it
	Started     time.Time
	Ended       time.Time // zero: open
	Done        int       // keys that are written; Uncertain those of which an interruption left open what they hold
	Uncertain   int
	Aside       int // keys that were put aside and were not written later
}

// Open reports whether keys may be added.
func (b Batch) Open() bool { return b.Ended.IsZero() }

// Touched reports whether the key at a position, from 1, is proven by touch.
func (b Batch) Touched(position int) bool {
	return b.Touch == "all" || slices.Contains(b.Sample, position)
}

// ItemState is what became of a place in a batch.
type ItemState string

// The states. A void item gave its position and its stock number back: nothing is on its key.
const (
	ItemOpen ItemState = "open"
	ItemDone ItemState = "done"
	ItemVoid ItemState = "void"
)

// BatchItem is one key of a batch. It exists from the reservation on, in the same transaction.
type BatchItem struct {
	Batch       BatchID
	Position    int    // from 1
	StockNumber string // unique in the store, but that a key keeps the one that it had
	State       ItemState
	Entry       EntryID
	Phase       Phase
	Token       ID
	Credential  CredentialID
	Serial      Serial
	Firmware    string
	Kind        Kind
	Slot        Slot
	PublicID    PublicID
	Proof       ProofRequired // what its position asks for
	Proven      time.Time     // by touch; zero: never
	Started     time.Time
	Ended       time.Time
}

// Aside is why a key was put aside.
type Aside string

// The reasons. A key that was put aside holds what it held before.
const (
	AsideForeign     Aside = "foreign"       // the slot holds what is not ours
	AsideLocked      Aside = "locked"        // an access code that is not known guards the slot
	AsideFIDO        Aside = "fido-only"     // the model has no OTP
	AsideNoOTP       Aside = "otp-off"       // the OTP interface is switched off
	AsideNoSerial    Aside = "no-serial"     // the key does not tell its serial number
	AsideHeld        Aside = "held"          // a person holds it
	AsideOtherBatch  Aside = "other-batch"   // it belongs to another batch
	AsideOurs        Aside = "ours"          // the slot holds a key of this store already
	AsideBlocked     Aside = "blocked"       // the token is blocked or given up
	AsideOldFirmware Aside = "old-firmware"  // the firmware cannot do what the profile wants
	AsideUnsettled   Aside = "unsettled"     // an interrupted write of before the batch holds the slot
	AsidePublicID    Aside = "public-id"     // another token has the public ID
	AsideRefused     Aside = "refused"       // the key refused the write
	AsideSilent      Aside = "not-answering" // the key does not answer as one should
	AsideNotGenuine  Aside = "not-genuine"   // the site wants proven keys, and this one is not
	AsideOpensStore  Aside = "opens-store"   // the sealing key opens with it
)

// PutAside is a key that was not written, and why.
type PutAside struct {
	Serial Serial // 0: it does not tell
	Port   string // where it was seen
	Reason Aside
	Detail string // for people
	At     time.Time
}

// Standing is what the store knows of a key that is plugged in for a batch.
type Standing struct {
	Token Token        // zero: never seen
	Live  []Credential // with their secrets
	Item  *BatchItem   // of this batch, open or done; nil: none
	Entry *Entry       // of the slot, not settled, with its secrets; nil: none. It is Item's, if that is open
	Other BatchID      // another batch that wrote what the slot holds, or is at it; 0: none
}

// Destroy clears all secrets.
func (s Standing) Destroy() {
	for _, c := range s.Live {
		c.Secrets.Destroy()
	}
	if s.Entry != nil {
		s.Entry.Credential.Secrets.Destroy()
		if s.Entry.Former != nil {
			s.Entry.Former.Secrets.Destroy()
		}
	}
}

// What the store answers about batches.
var (
	ErrBatchFull   = errors.New("all places of the batch are taken")
	ErrBatchClosed = errors.New("the batch is closed")
)
