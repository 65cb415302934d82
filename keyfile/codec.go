package keyfile

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Reader reads one file format. It keeps no state: one value serves any number of files at once.
type Reader interface {
	// Name is the word after --format, such as "yubico-csv".
	Name() string
	// Detect says how sure it is, 0 to 100, that a file beginning with head (up to 4 KiB) is of this format.
	Detect(head []byte) int
	// Decode reads records one at a time in constant memory. A bad row is a *RowError beside a zero Record, and reading goes on
	// with the next row; any other error ends the sequence. The caller destroys each record. It says what the file says; Import
	// adds what this server needs.
	Decode(r io.Reader) iter.Seq2[Record, error]
}

// Unlocker is a Reader whose files may be encrypted. Decode of a locked file without means ends with an error that wraps
// ErrLocked.
type Unlocker interface {
	Reader
	// Unlock is the same format with somebody to ask for what opens a file.
	Unlock(Ask) Reader
}

// Ask obtains what opens a file. Each file asks at most once for each kind of means. The callee keeps ownership of nothing: whoever
// asked destroys the answer.
type Ask func(Need) (secret.Bytes, error)

// Need is what a locked file asks for.
type Need struct {
	Means Means
	Hint  string // the name that the file gives the key, if any
}

// Means is a kind of secret that opens a file.
type Means string

// The means.
const (
	PresharedKey Means = "pre-shared key" // raw bytes
	Passphrase   Means = "passphrase"     // UTF-8 text
	PrivateKey   Means = "private key"    // an OpenPGP or age key file's contents
)

// ErrLocked is a file that is encrypted, and nothing to open it was given.
var ErrLocked = errors.New("the file is encrypted: its key or passphrase is needed")

// Codec reads and writes one file format.
//
// Two laws hold for every codec and every record that it does not refuse: what Encode wrote, Decode gives back as Carried
// said; and Loss names every field in which Carried differs from the record.
type Codec interface {
	Reader
	// Carried is rec without what a file of this format loses. It shares rec's secrets.
	Carried(rec Record) Record
	// Loss says what a file of this format would lose of rec: nothing for an empty result.
	Loss(rec Record) []Loss
	// NewEncoder begins a file.
	NewEncoder(w io.Writer) Encoder
}

// Encoder writes one file.
type Encoder interface {
	// Encode adds a record. It refuses, with a *LossError, a record whose Loss is Fatal, and then writes nothing.
	Encode(rec Record) error
	// Close ends the file. It does not close the writer below.
	Close() error
}

// RowError is one row that could not be read. It never holds the row's text.
type RowError struct {
	Format string
	Line   int    // 1 is the first
	Column int    // of the field: its number for a table, 0 where the format has none
	Field  string // "public-id", "key", …
	Cause  string
}

func (e *RowError) Error() string {
	if e.Column > 0 {
		return fmt.Sprintf("%s: line %d, column %d (%s): %s", e.Format, e.Line, e.Column, e.Field, e.Cause)
	}
	return fmt.Sprintf("%s: line %d (%s): %s", e.Format, e.Line, e.Field, e.Cause)
}
