// Package paper makes what leaves the printer beside a key: the receipt that a person signs, the part that goes along, and the
// labels on keys and bags.
//
// Receipt and Label are facts; a Press knows how a site prints them: its templates, its contact data, its label sheets. Equal facts
// give equal bytes, in text, PDF, SVG and CSV. No type of this package has a field for a secret, templates see the facts alone.
//
// What comes from persons and files is neutralised: control and bidirectional characters do not reach paper, names wrap, and what
// the font of a PDF lacks is shown as a box with a remark, never as another letter.
package paper

import (
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// Way is how a token comes to its person.
type Way string

// The ways.
const (
	Handed  Way = "handed"  // over the desk, proven by a touch
	Stocked Way = "stocked" // over the desk, from stock, bound by one touch
	Shipped Way = "shipped" // by post after a video call: active only when the person touched it and logged in
)

// Receipt is what is known about one hand-over. Zero fields are left out on paper.
type Receipt struct {
	Number   string // "R-000123"
	Copy     bool   // printed again: marked as a copy
	Language string // "de" or "en"; "": the site's
	Template string // its name, as profile.Profile.Receipt; "": the site's own, or the built-in one

	Name, Account string
	Token         Subject
	Accounts      []string // that are on it beside its slot
	Certificates  []Certificate
	Replaces      string // the token that this one replaces, as staff name it

	Issued  time.Time     // printed in its own zone
	By      string        // operator
	Place   string        // station or room
	IDCheck token.IDCheck // the kind, never a number
	Witness string        // second operator, when the person is known
	Way     Way           // "": Handed
	Note    string

	Steps      []Step
	Checkpoint Checkpoint
	Pending    bool // made without network: valid when the station has synchronised
}

// Subject is the token on paper.
type Subject struct {
	Model       string // "YubiKey 5.7" or what the device tells
	Firmware    string
	Serial      token.Serial
	StockNumber string
	Label       string // serial of other hardware
	PublicID    string // ModHex; "": none
	Slot        token.Slot
	Kind        token.Kind
}

// Certificate is one of the token's PIV application.
type Certificate struct {
	Slot    string // "9a"
	Subject string
	Until   time.Time // printed in its own zone
}

// Step is one step of PRODUCT §3.a as it was done: "H-5" at a time.
type Step struct {
	ID string
	At time.Time
}

// Checkpoint is the head of the desk's audit chain when the receipt was written: what is on paper anchors the chain.
type Checkpoint struct {
	Seq  int64  // number of the event; 0: none
	Hash string // hexadecimal
}

// Label is one sticker. What its barcode says is the stock number, or the serial, or the label.
type Label struct {
	Subject
	Batch string // name or number of the batch; may be empty
}

// Stickers says how labels are printed.
type Stickers struct {
	Layout   string // its name: see Press.Layouts
	Template string // its name, as profile.Profile.Label; "": the site's own, or the built-in one
	Skip     int    // places of the first sheet that are used up
}

// Size is a page of a receipt; "" is the site's.
type Size string

// The sizes. Roll is paper of 80 mm for receipt printers.
const (
	A4   Size = "a4"
	A5   Size = "a5"
	Roll Size = "80mm"
)

// Sizes lists them.
func Sizes() []Size { return []Size{A4, A5, Roll} }
