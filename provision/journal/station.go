package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The files of a station, in a directory of its own (0700).
const (
	stationKey   = "station.key"  // seals the secrets of open writes
	signingKey   = "signing.key"  // signs records
	snapshotFile = "snapshot"     // that is installed
	headFile     = "journal.head" // see head
	journalFile  = "journal"
	tornSuffix   = ".torn-" // the number of the record that was expected there
)

// publicPrefix begins the line by which a server knows a station.
const publicPrefix = "tokendesk-station-public:1:"

// Options are what a station takes from the world. All are required.
type Options struct {
	Now      func() time.Time
	Rand     io.Reader // crypto/rand.Reader outside tests
	Operator string    // who writes keys here, for the records

	step func(string) // called between every two things that last, in tests; nil: nobody asks
}

func (o Options) passed(what string) {
	if o.step != nil {
		o.step(what)
	}
}

// Station is an open journal. Its methods may be called from any number of goroutines.
type Station struct {
	dir      string
	o        Options
	mu       sync.Mutex
	header   Header
	snapshot Snapshot
	to       seal.TransferPublic
	roots    piv.Roots // of the snapshot
	signing  seal.SigningKey
	escrow   escrow
	journal  *os.File
	locked   bool
	headFile *os.File
	size     int64 // of what is whole in the journal
	seq      int64
	hash     [32]byte
	entries  entries
	broken   error
}

// Line is by what a server knows a station: its name and its key, on one line without secrets.
func Line(name string, public ed25519.PublicKey) string {
	return publicPrefix + name + ":" + hex.EncodeToString(public)
}

// ParseLine reads what Line wrote.
func ParseLine(text string) (name string, public ed25519.PublicKey, err error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(text), publicPrefix)
	name, digits, cut := strings.Cut(rest, ":")
	public, err = hex.DecodeString(digits)
	if !ok || !cut || err != nil || len(public) != ed25519.PublicKeySize || CheckName(name) != nil {
		return "", nil, errors.New("not the public key of a station (" + publicPrefix + "…)")
	}
	return name, public, nil
}

// CheckName says what names a station may have: they stand in the numbers of receipts.
func CheckName(name string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
	if name == "" || len(name) > 32 || strings.Trim(name, allowed) != "" {
		return errors.New("a station's name has 1 to 32 letters, digits and _")
	}
	return nil
}

// Init makes a station in an empty or missing directory, and returns its Line. What an interruption left is taken up again; a station
// that is there already is fs.ErrExist.
func Init(dir, name string, o Options) (string, error) {
	line, err := initStation(dir, name, o)
	if err != nil {
		return "", fmt.Errorf("make station: %w", err)
	}
	return line, nil
}

func initStation(dir, name string, o Options) (string, error) {
	if err := CheckName(name); err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(dir, openDir), 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(dir, journalFile)
	if _, err := os.Lstat(path); err == nil {
		return "", fmt.Errorf("%s: %w", path, fs.ErrExist)
	}
	if _, err := seal.CreateFile(filepath.Join(dir, stationKey), o.Rand); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	signing, err := seal.CreateSigningFile(filepath.Join(dir, signingKey), o.Rand)
	if errors.Is(err, fs.ErrExist) {
		signing, err = seal.LoadSigningFile(filepath.Join(dir, signingKey))
	}
	if err != nil {
		return "", err
	}
	var series [seriesLen]byte
	if _, err := io.ReadFull(o.Rand, series[:]); err != nil {
		return "", err
	}
	payload, err := json.Marshal(Header{schema, hex.EncodeToString(series[:]), name, hex.EncodeToString(signing.Public()), o.Now().UTC()})
	if err != nil {
		return "", err
	}
	if err := writeFile(filepath.Join(dir, headFile), make([]byte, headSector+headSize)); err != nil {
		return "", err
	}
	if err := writeFile(path, frame([]byte(magic), payload, signing.Sign(signed(chain([32]byte{}, payload))))); err != nil {
		return "", err
	}
	return Line(name, signing.Public()), nil
}

// Install takes a snapshot into a station: one that is signed by the server of the one before, for this station, and not older.
func Install(dir string, text []byte) (Snapshot, error) {
	s, err := install(dir, text)
	if err != nil {
		return Snapshot{}, fmt.Errorf("install snapshot: %w", err)
	}
	return s, nil
}

func install(dir string, text []byte) (Snapshot, error) {
	signing, err := seal.LoadSigningFile(filepath.Join(dir, signingKey))
	if err != nil {
		return Snapshot{}, err
	}
	var signer ed25519.PublicKey
	former, err := readSnapshot(dir)
	switch {
	case err == nil:
		if signer, err = hex.DecodeString(former.Signer); err != nil {
			return Snapshot{}, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return Snapshot{}, err
	}
	s, err := ParseSnapshot(text, signer)
	switch {
	case err != nil:
		return s, err
	case s.Public != hex.EncodeToString(signing.Public()), former.Store != "" && s.Store != former.Store:
		return s, ErrOther
	case s.Grant < former.Grant:
		return s, ErrOlder
	case s.Schema != schema:
		return s, fmt.Errorf("%w: its schema is %d, %d is needed", ErrVersion, s.Schema, schema)
	}
	if _, err := s.rule(); err != nil {
		return s, err
	}
	if _, err := seal.ParseTransferPublic(s.Transfer); err != nil {
		return s, fmt.Errorf("%w: the server's key", ErrDamaged)
	}
	return s, writeFile(filepath.Join(dir, snapshotFile), text)
}

func readSnapshot(dir string) (Snapshot, error) {
	text, err := os.ReadFile(filepath.Join(dir, snapshotFile))
	if err != nil {
		return Snapshot{}, err
	}
	return ParseSnapshot(text, nil)
}

// Open opens a station. fs.ErrNotExist: there is none, or no snapshot is installed; ErrBusy, ErrDamaged. A torn end of the journal, which a
// power failure leaves, is moved to a file beside it.
func Open(dir string, o Options) (*Station, error) {
	s := &Station{dir: dir, o: o}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open station: %w", err), s.Close())
	}
	return s, nil
}

func (s *Station) open() (err error) {
	if s.journal, err = os.OpenFile(filepath.Join(s.dir, journalFile), os.O_RDWR, 0); err != nil {
		return err
	}
	if err := lock(s.journal); err != nil {
		return err
	}
	s.locked = true
	if s.headFile, err = os.OpenFile(filepath.Join(s.dir, headFile), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	if s.signing, err = seal.LoadSigningFile(filepath.Join(s.dir, signingKey)); err != nil {
		return err
	}
	if s.snapshot, err = readSnapshot(s.dir); err != nil {
		return err
	}
	if s.to, err = seal.ParseTransferPublic(s.snapshot.Transfer); err != nil {
		return err
	}
	if s.roots, err = s.snapshot.rule(); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(s.journal, maxJournal+1))
	if err != nil {
		return err
	}
	f, err := Parse(text, s.signing.Public())
	if err != nil {
		return err
	}
	if err := s.recover(f, text); err != nil {
		return err
	}
	key, err := seal.LoadFile(filepath.Join(s.dir, stationKey))
	if err != nil {
		return err
	}
	s.escrow = escrow{s.dir, key, f.Series, s.o.Rand}
	s.o.passed("opened")
	return s.escrow.keep(func(id int64) bool {
		e := s.entries.one(id)
		return e != nil && e.Phase.Open() && e.Phase != token.Reserved
	})
}

// recover takes what is whole, and cuts what is not, if nothing is missing that was durable once.
func (s *Station) recover(f File, text []byte) error {
	known, err := io.ReadAll(io.NewSectionReader(s.headFile, 0, headSector+headSize))
	if err != nil {
		return err
	}
	h := readHead(known)
	if hash, ok := f.At(h.seq); !ok || h.seq > 0 && hash != h.hash {
		return fmt.Errorf("%w: record %d was durable and is not there any more", ErrDamaged, h.seq)
	}
	for _, r := range f.Records {
		if err := s.entries.add(r); err != nil {
			return err
		}
	}
	s.header, s.size, s.seq, s.hash = f.Header, f.Length, int64(len(f.Records)), f.Hash
	if f.Rest > 0 {
		torn := fmt.Sprint(filepath.Join(s.dir, journalFile), tornSuffix, s.seq+1)
		if err := writeFile(torn, text[f.Length:]); err != nil {
			return err
		}
		s.o.passed("torn end kept")
		if err := s.journal.Truncate(s.size); err != nil {
			return err
		}
		if err := s.journal.Sync(); err != nil {
			return err
		}
		s.o.passed("torn end cut")
	}
	return s.putHead()
}

func (s *Station) putHead() error {
	h := head{s.seq, s.hash}
	if _, err := s.headFile.WriteAt(h.bytes(), h.place()); err != nil {
		return err
	}
	return s.headFile.Sync()
}

// append makes a record durable. After a failure the journal is as before, or the station is broken.
func (s *Station) append(r Record) error {
	if s.broken != nil {
		return s.broken
	}
	r.Seq, r.At, r.Operator = s.seq+1, s.o.Now().UTC(), s.o.Operator
	payload, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(payload) > maxPayload {
		return errors.New("a record is too long")
	}
	r.Hash = chain(s.hash, payload)
	if err := strict(payload, &Record{}); err != nil { // what is written must be read
		return err
	}
	text := frame(nil, payload, s.signing.Sign(signed(r.Hash)))
	s.o.passed("append " + string(r.Event))
	_, err = s.journal.WriteAt(text, s.size)
	s.o.passed("appended " + string(r.Event))
	if err != nil {
		return errors.Join(err, s.undo())
	}
	if err := s.journal.Sync(); err != nil { // what is on the disk is not known any more
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		return s.broken
	}
	s.o.passed("durable " + string(r.Event))
	s.size, s.seq, s.hash = s.size+int64(len(text)), r.Seq, r.Hash
	if err := s.entries.add(r); err != nil {
		s.broken = err
		return err
	}
	if err := s.putHead(); err != nil {
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
		return s.broken
	}
	s.o.passed("head " + string(r.Event))
	return nil
}

// undo cuts what a failed write left.
func (s *Station) undo() error {
	err := s.journal.Truncate(s.size)
	if err == nil {
		err = s.journal.Sync()
	}
	if err != nil {
		s.broken = fmt.Errorf("%w: %w", ErrBroken, err)
	}
	return s.broken
}

// Close closes the files. Nothing is lost without it.
func (s *Station) Close() error {
	var err error
	if s.locked {
		err, s.locked = unlock(s.journal), false
	}
	for _, f := range []*os.File{s.headFile, s.journal} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}

// Path is the journal itself: what is carried to the server.
func (s *Station) Path() string { return filepath.Join(s.dir, journalFile) }

// Snapshot is the installed one.
func (s *Station) Snapshot() Snapshot { return s.snapshot }

// sameKey reports whether a snapshot is for the key that signs here.
func (s *Station) sameKey() bool {
	own, err := hex.DecodeString(s.snapshot.Public)
	return err == nil && bytes.Equal(own, s.signing.Public())
}
