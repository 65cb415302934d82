package batch

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk/audit"
	"github.com/tokendesk/tokendesk/provision/token"
)

// ManifestKind is the first field of every manifest.
const ManifestKind = "tokendesk batch manifest"

// manifestDomain begins the text that is signed; the compact JSON of the manifest follows.
const manifestDomain = "tokendesk batch manifest 1\n"

// maxManifest is the largest text that VerifyManifest reads, in bytes: about 100,000 keys.
const maxManifest = 64 << 20

// Manifest is what a closed batch was: no secrets, so that it goes with the box.
type Manifest struct {
	Kind        string          `json:"kind"`
	Schema      int             `json:"schema"`
	Batch       token.BatchID   `json:"batch"`
	Profile     string          `json:"profile"`
	ProfileText string          `json:"profile_text"`
	Slot        token.Slot      `json:"slot"`
	Order       string          `json:"order,omitempty"`
	Place       string          `json:"place,omitempty"`
	Budget      string          `json:"budget,omitempty"`
	Ticket      string          `json:"ticket,omitempty"`
	Operator    string          `json:"operator"`
	Started     time.Time       `json:"started"`
	Ended       time.Time       `json:"ended"`
	Wanted      int             `json:"wanted"`
	Done        int             `json:"done"`
	Touch       string          `json:"touch"`       // "all", "none" or "sample:N"
	SampleSize  int             `json:"sample_size"` // keys whose position asked for a touch
	Touched     int             `json:"touched"`     // keys that were proven by one
	Statement   string          `json:"statement"`   // the same for people
	Keys        []ManifestKey   `json:"keys"`
	Uncertain   []ManifestKey   `json:"uncertain,omitempty"` // the write was not settled: they validate nowhere
	Aside       []ManifestAside `json:"put_aside"`
	RecordSet   string          `json:"record_set"` // SHA-256 of Keys as compact JSON, in hexadecimal
	Audit       ManifestHead    `json:"audit"`      // the desk chain before the batch was closed
}

// ManifestKey is one key, by position.
type ManifestKey struct {
	Position    int          `json:"position"`
	Serial      token.Serial `json:"serial"`
	StockNumber string       `json:"stock_number,omitempty"`
	PublicID    string       `json:"public_id,omitempty"`
	Kind        token.Kind   `json:"kind"`
	Firmware    string       `json:"firmware"`
	Sample      bool         `json:"sample"`           // its position asked for a touch
	Proven      *time.Time   `json:"proven,omitempty"` // when it was touched
	Written     *time.Time   `json:"written,omitempty"`
}

// ManifestAside is a key that was not written.
type ManifestAside struct {
	Serial token.Serial `json:"serial,omitempty"`
	Port   string       `json:"port"`
	Reason token.Aside  `json:"reason"`
	Detail string       `json:"detail,omitempty"`
	At     time.Time    `json:"at"`
}

// ManifestHead is a checkpoint of the audit: audit verify must find it in the chain.
type ManifestHead struct {
	Chain     string     `json:"chain"`
	Seq       int64      `json:"seq"`
	Hash      audit.Hash `json:"hash"`
	At        time.Time  `json:"at"`
	Signature []byte     `json:"signature"`
}

// SignedManifest is a manifest as it stands in a file.
type SignedManifest struct {
	Manifest  json.RawMessage `json:"manifest"`
	PublicKey string          `json:"public_key"` // in hexadecimal, for people: a check needs one from elsewhere
	Signature []byte          `json:"signature"`  // Ed25519, of the domain and the compact manifest
}

// NewManifest tells what a batch was. Items are those that are open and done, by position.
func NewManifest(b token.Batch, items []token.BatchItem, aside []token.PutAside, head audit.Head) (Manifest, error) {
	m := Manifest{
		Kind: ManifestKind, Schema: Schema, Batch: b.ID, Profile: b.Profile, ProfileText: b.ProfileText, Slot: b.Slot, Order: b.Order, Place: b.Place,
		Budget: b.Budget, Ticket: b.Ticket, Operator: b.Operator, Started: b.Started, Ended: b.Ended, Wanted: b.Wanted, Touch: b.Touch,
		Keys: []ManifestKey{}, Aside: []ManifestAside{}, Audit: ManifestHead(head),
	}
	for _, i := range items {
		k := ManifestKey{
			Position: i.Position, Serial: i.Serial, StockNumber: i.StockNumber, PublicID: i.PublicID.String(), Kind: i.Kind, Firmware: i.Firmware,
			Sample: i.Proof == token.ByTouch, Proven: moment(i.Proven), Written: moment(i.Ended),
		}
		if i.State != token.ItemDone {
			m.Uncertain = append(m.Uncertain, k)
			continue
		}
		m.Keys = append(m.Keys, k)
		if k.Sample {
			m.SampleSize++
		}
		if k.Proven != nil {
			m.Touched++
		}
	}
	for _, p := range aside {
		m.Aside = append(m.Aside, ManifestAside{p.Serial, p.Port, p.Reason, p.Detail, p.At})
	}
	m.Done = len(m.Keys)
	m.Statement = m.statement()
	var err error
	m.RecordSet, err = m.recordSet()
	return m, err
}

// moment is a time that may be missing.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (m Manifest) statement() string {
	text := fmt.Sprintf("%d of %d keys were written and read back; %d of them were proven by touch", m.Done, m.Wanted, m.Touched)
	if m.Touched < m.Done {
		text += ". The others are proven when they are handed over"
	}
	return text
}

// recordSet is the hash of Keys.
func (m Manifest) recordSet() (string, error) {
	text, err := json.Marshal(m.Keys)
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), err
}

// Sign is the text of the manifest's file; sign makes an Ed25519 signature by the key whose public half is given.
func (m Manifest) Sign(public ed25519.PublicKey, sign func([]byte) []byte) (string, error) {
	text, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	out, err := json.MarshalIndent(SignedManifest{text, hex.EncodeToString(public), sign(append([]byte(manifestDomain), text...))}, "", "  ")
	return string(out) + "\n", err
}

// What VerifyManifest finds.
var (
	ErrNoManifest = errors.New("this is no manifest of a batch")
	ErrForged     = errors.New("the manifest is not as it was signed")
)

// VerifyManifest reads what Sign made and checks it by a public key that came another way. The errors are ErrNoManifest and ErrForged.
// What it returns is what was signed, to the byte of its compact form: a field that is unknown, doubled or spelled otherwise is an error.
func VerifyManifest(text []byte, public ed25519.PublicKey) (Manifest, error) {
	var m Manifest
	var s SignedManifest
	if len(text) > maxManifest {
		return m, fmt.Errorf("%w: it is too large", ErrNoManifest)
	}
	if err := strict(text, &s); err != nil {
		return m, fmt.Errorf("%w: its JSON is not as expected", ErrNoManifest)
	}
	var compact, whole bytes.Buffer
	if err := errors.Join(json.Compact(&compact, s.Manifest), json.Compact(&whole, text)); err != nil || len(public) != ed25519.PublicKeySize {
		return m, ErrNoManifest
	}
	switch file, err := json.Marshal(s); {
	case err != nil || !bytes.Equal(file, whole.Bytes()):
		return m, fmt.Errorf("%w: its JSON is not as expected", ErrForged)
	case s.PublicKey != hex.EncodeToString(public):
		return m, fmt.Errorf("%w: it names another key", ErrForged)
	case !ed25519.Verify(public, append([]byte(manifestDomain), compact.Bytes()...), s.Signature):
		return m, ErrForged
	}
	if err := strict(s.Manifest, &m); err != nil || m.Kind != ManifestKind {
		return Manifest{}, ErrNoManifest
	}
	again, err := json.Marshal(m)
	sum, serr := m.recordSet()
	if err != nil || serr != nil || !bytes.Equal(again, compact.Bytes()) || sum != m.RecordSet || m.Done != len(m.Keys) || !audit.Head(m.Audit).Signed(public) {
		return Manifest{}, ErrForged
	}
	return m, nil
}

// strict decodes one JSON value without unknown fields and with nothing behind it.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if d.More() {
		return errors.New("more than one value")
	}
	return nil
}
