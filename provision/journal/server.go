package journal

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Registered is a station as the server knows it.
type Registered struct {
	Name    string
	Public  ed25519.PublicKey
	Active  bool
	Series  [seriesLen]byte // of the journal that was imported; zeros: none was
	Seq     int64           // its last record that was seen, and the chain's value there
	Hash    [32]byte
	Grants  int64 // snapshots that were made
	Most    int   // of the last one
	Until   time.Time
	Taken   int // writes of the last one that were imported
	Created time.Time
}

// Registrar is the part of a store that makes snapshots.
type Registrar interface {
	// Grant registers a station, or knows it again, and makes its next snapshot from one state of the store; the caller signs it.
	// token.ErrConflict: the name has another key, or the station was ended. groups: only persons of one of them; none: all.
	Grant(ctx context.Context, g Grant) (Snapshot, error)
	// Stations are all, by name.
	Stations(ctx context.Context) ([]Registered, error)
	// EndStation takes nothing more from a station; token.ErrNotFound.
	EndStation(ctx context.Context, name, note string) error
}

// Grant is what a snapshot allows.
type Grant struct {
	Name     string
	Public   ed25519.PublicKey
	Transfer seal.TransferPublic
	Groups   []string
	Most     int
	Until    time.Time
	Openers  []token.Serial // see Snapshot
}

// Store is the part of a store that takes journals.
type Store interface {
	// Station is one that was registered; token.ErrNotFound.
	Station(ctx context.Context, name string) (Registered, error)
	// Take puts one settled write into the store, or with open one that is not, in one transaction with its audit events. What was
	// taken once is Already, and changes nothing.
	Take(ctx context.Context, w Write) (Taken, error)
	// TakeClaim puts what a station says of a key into the store, as said by it, in one transaction with its audit event. What is older than
	// what the store knows, or the same, is Already, and so is a doubt about a key that is known as genuine. A proof that does not verify by the site's roots is a
	// Conflict, unless the key is proven by them otherwise.
	TakeClaim(ctx context.Context, station string, c Claim) (Taken, error)
	// Seen notes how far a journal was seen. It only moves forward.
	Seen(ctx context.Context, station string, series [seriesLen]byte, seq int64, hash [32]byte) error
}

// Write is an Entry on its way into a store.
type Write struct {
	Station string
	Series  [seriesLen]byte
	Entry
	Secrets token.Secrets // empty for what was given up
}

// Outcome is what became of one write.
type Outcome string

// The outcomes.
const (
	Done     Outcome = "done"     // the key is valid
	Blocked  Outcome = "blocked"  // it is in the store, and blocked, as its token was blocked meanwhile
	GivenUp  Outcome = "given up" // the station gave the write up: there is nothing to take
	Already  Outcome = "already"  // taken before
	Unready  Outcome = "open"     // not settled at the station
	Held     Outcome = "held"     // not settled at the station, and in the store's ledger, to be resumed here
	Conflict Outcome = "conflict" // not taken: Why says the reason
)

// Taken is a write's outcome.
type Taken struct {
	Outcome Outcome
	Why     string
	Ledger  token.EntryID // in the store; 0: none
}

// Imported is one line of an import's report.
type Imported struct {
	Station string
	Entry
	Taken
}

// Report is what an import did.
type Report struct {
	Header Header
	Claims []Claimed
	Lines  []Imported
	Rest   int64 // bytes at the end that do not verify
	Cause  error
}

// ErrFork is a journal that goes another way than the one that was imported: a station was copied, or put back to an older state.
var ErrFork = errors.New("it is not the journal that was imported from this station, or goes another way than that")

// ErrEnded is a station from which nothing is taken any more.
var ErrEnded = errors.New("the station was ended")

// Read reads a journal by the key in its header: to look at it.
func Read(r io.Reader) (File, error) {
	text, err := readAll(r)
	if err != nil {
		return File{}, err
	}
	return Parse(text, nil)
}

func readAll(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxJournal+1))
	if err == nil && len(text) > maxJournal {
		err = fmt.Errorf("%w: it is too long", ErrDamaged)
	}
	return text, err
}

// Import takes a journal into a store, what it says of keys first, then write by write: what an interruption left undone is done by the next call, and the same file again
// changes nothing. withOpen also takes writes that the station did not settle, into the store's ledger: for a station that is gone. report is called for each
// write. The errors are ErrDamaged, ErrVersion, ErrOther, ErrFork, ErrEnded, token.ErrNotFound for a station that is not registered, and the store's.
func Import(ctx context.Context, st Store, k seal.TransferKey, file io.Reader, withOpen bool, report func(Imported)) (Report, error) {
	text, err := readAll(file)
	if err != nil {
		return Report{}, err
	}
	loose, err := Parse(text, nil)
	if err != nil {
		return Report{}, err
	}
	known, err := st.Station(ctx, loose.Header.Station)
	if err != nil {
		return Report{}, fmt.Errorf("station %s: %w", loose.Header.Station, err)
	}
	if !known.Active {
		return Report{}, fmt.Errorf("station %s: %w", known.Name, ErrEnded)
	}
	f, err := Parse(text, known.Public)
	if err != nil {
		return Report{}, err
	}
	if err := known.follows(f); err != nil {
		return Report{}, err
	}
	all, err := f.Entries()
	if err != nil {
		return Report{}, err
	}
	out := Report{Header: f.Header, Rest: f.Rest, Cause: f.Cause}
	for _, c := range f.Claims() { // first: writes may need them
		taken, err := st.TakeClaim(ctx, known.Name, c)
		if err != nil {
			return out, err
		}
		out.Claims = append(out.Claims, Claimed{c, taken})
	}
	for _, e := range all {
		taken, err := f.take(ctx, st, k, e, withOpen)
		if err != nil {
			return out, err
		}
		line := Imported{known.Name, e, taken}
		out.Lines = append(out.Lines, line)
		report(line)
	}
	return out, st.Seen(ctx, known.Name, f.Series, int64(len(f.Records)), f.Hash)
}

// follows is ErrFork unless f is what was seen before, or its beginning, or goes on with it. A beginning cannot be told from another way that is
// shorter: then each write that was taken is compared by the chain's value.
func (r Registered) follows(f File) error {
	if r.Series == ([seriesLen]byte{}) {
		return nil
	}
	hash, ok := f.At(r.Seq)
	if r.Series != f.Series || ok && hash != r.Hash {
		return fmt.Errorf("station %s: %w", r.Name, ErrFork)
	}
	return nil
}

// take opens the secrets of one write and hands it to the store.
func (f File) take(ctx context.Context, st Store, k seal.TransferKey, e Entry, withOpen bool) (Taken, error) {
	w := Write{Station: f.Header.Station, Series: f.Series, Entry: e}
	if e.Phase.Open() && (!withOpen || e.Phase == token.Reserved) {
		return Taken{Outcome: Unready, Why: "it is not settled at the station: insert the key there"}, nil
	}
	if e.Phase != token.Aborted {
		var err error
		if w.Secrets, err = f.Open(k, e); err != nil {
			return Taken{Outcome: Conflict, Why: "its secrets do not open: they were sealed to another server's key"}, nil
		}
		defer w.Secrets.Destroy()
	}
	return st.Take(ctx, w)
}
