// Package batch writes a box of keys, one like the other: they are taken as they are plugged in, several at once, each in its lane.
//
//	Engine.Run: what an interruption left -> watch the bus -> a lane for each port
//	lane: waiting -> opening -> sealing -> writing -> written -> touch -> proven -> done
//	                 \-> aside (with a reason, never written)      \-> uncertain (settled when the key comes back)
//
// A lane is a port. Each has its own goroutine and its own provision.Runner, and the order of a single write holds here as well:
// reserve, sealed record durable, write, read back, prove, commit. The reservation makes the batch's item in the same transaction,
// so that a batch that was killed at any point goes on with "163 done, 2 uncertain" and never draws a second secret for a key.
//
// A store that fails stops all lanes where they are; they go on when it is back. What the batch was, it tells by a signed Manifest.
//
// The steps have the names of PRODUCT.md §3.b: B-1 plan, B-2 fill the ports, B-3 write, B-4 touch, B-5 label, B-6 close, B-7 compare
// with the delivery note.
package batch

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// Bus is where keys are plugged in.
type Bus interface {
	// Watch yields arrivals and removals, first those that are there, until ctx ends.
	Watch(ctx context.Context) iter.Seq2[usbhid.Event, error]
	// Open holds one key exclusively until it is closed; what it types meanwhile reaches nobody else.
	// An *UnwantedError is a key that the site does not want.
	Open(ctx context.Context, at usbhid.Attached) (Key, error)
}

// UnwantedError is a key that the site does not want to be written.
type UnwantedError struct {
	Serial token.Serial
	Reason token.Aside
	Err    error
}

// Error says why.
func (e *UnwantedError) Error() string {
	return "key " + e.Serial.String() + " is not written: " + e.Err.Error()
}

// Unwrap is the cause.
func (e *UnwantedError) Unwrap() error { return e.Err }

// Key is one opened key. It belongs to one lane.
type Key interface {
	provision.Device
	// Serial is 0 if the key does not tell it.
	Serial() token.Serial
	// Close gives the key back to the system.
	Close() error
}

// Store is the ledger of a batch. Its methods may be called from several goroutines; each change is durable when it returns. Errors
// other than those that provision.Ledger and these methods name mean that the store is away for the moment.
type Store interface {
	provision.Ledger
	// ReserveItem reserves a slot, and a place in the batch in the same transaction: an open item with position and stock number. The
	// position decides whether a touch is asked for. The errors are those of Reserve, token.ErrBatchFull while all places are taken,
	// token.ErrBatchClosed, and token.ErrDuplicate also for a key that has a place already.
	ReserveItem(ctx context.Context, b token.BatchID, r token.Reservation) (token.Entry, token.BatchItem, error)
	// Standing is what the store knows of a key. The caller destroys it.
	Standing(ctx context.Context, b token.BatchID, serial token.Serial, slot token.Slot) (token.Standing, error)
	// Items are the items of a batch that are open or done, by position.
	Items(ctx context.Context, b token.BatchID) ([]token.BatchItem, error)
	// OpenItems are the ledger entries of a batch that are not settled, with secrets, which the caller destroys.
	OpenItems(ctx context.Context, b token.BatchID) ([]token.Entry, error)
	// PutAside records a key that is not written; not added: it was recorded with that reason before.
	PutAside(ctx context.Context, b token.BatchID, p token.PutAside) (added bool, err error)
}

// Engine is one run of a batch. All fields are required.
type Engine struct {
	Store Store
	Bus   Bus
	Batch token.Batch
	Spec  provision.Spec // of every key; Holder and Verify are not used
	Lanes int            // how many keys are worked on at once
	Rand  io.Reader      // crypto/rand.Reader outside tests; used by several goroutines
	Now   func() time.Time
	// TouchWait is how long a slot that held something else before an interruption is waited for to type, until it is written again. For
	// any other touch a lane waits as long as its key is there.
	TouchWait time.Duration
	// Pause waits between two tries of a store that failed.
	Pause func(context.Context) error
	// Report is told what happens. It is called by one goroutine at a time, which waits for it.
	Report func(Event)
}
