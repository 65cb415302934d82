package token

import (
	"fmt"
	"time"
)

// IDCheck is how a person was known when a token was handed over. No number and no copy of a document is kept. Source: PRODUCT.md
// §3.a (H-2), §5.6.
type IDCheck string

// The identity checks.
const (
	ByStaffCard    IDCheck = "staff-card"
	ByNationalID   IDCheck = "national-id"
	ByPassport     IDCheck = "passport"
	ByAcquaintance IDCheck = "known" // the operator knows the person
	ByVideo        IDCheck = "video"
)

// IDChecks lists them in the order of the keys 1 to 5 at a desk.
func IDChecks() []IDCheck {
	return []IDCheck{ByStaffCard, ByNationalID, ByPassport, ByAcquaintance, ByVideo}
}

// Handover is what a desk says of giving a key to the Holder of a Reservation. The commit does all of it in its transaction. The zero
// Handover binds the holder and writes no receipt.
type Handover struct {
	IDCheck IDCheck // "": no receipt
	Replace ID      // a token of the same person, which the commit revokes and which is owed then; 0: none
	Note    string
}

// ReceiptKind is what a receipt is for.
type ReceiptKind string

// The kinds of receipts.
const (
	Issued ReceiptKind = "issued"
	Posted ReceiptKind = "shipped"
)

// Receipt is the record of a handing-over. Its numbers run without gaps from 1, those of each station's journal apart from the store's.
type Receipt struct {
	Station    string // "": the store's own
	Number     int64
	Kind       ReceiptKind
	Token      ID
	Serial     Serial
	Label      string
	Stock      string // number
	Slot       Slot
	PublicID   PublicID // of the credential that was proven or written
	Account    string
	Name       string
	IDCheck    IDCheck
	Operator   string
	At         time.Time
	Replaces   string // the serial or label of the token that is owed now
	Checkpoint int64  // the number of the audit event that records it; offline: the last that the station knew
	Hash       string // of that event, hexadecimal
	Pending    bool   // offline: the server does not know of it yet
}

// Ref is the number as people write it: "R-17", of a station's journal "R-DESK2-17".
func (r Receipt) Ref() string {
	if r.Station == "" {
		return fmt.Sprintf("R-%d", r.Number)
	}
	return fmt.Sprintf("R-%s-%d", r.Station, r.Number)
}
