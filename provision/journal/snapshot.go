package journal

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Snapshot is what a station may know and do, signed by the server. It holds no secret, but names: keep it as you keep a list of staff.
type Snapshot struct {
	Schema     int       `json:"schema"`
	Store      string    `json:"store"`    // the store's ID, hexadecimal
	Signer     string    `json:"signer"`   // the store's Ed25519 key, hexadecimal
	Transfer   string    `json:"transfer"` // the key to seal to: seal.TransferPublic
	Station    string    `json:"station"`
	Public     string    `json:"public"` // the station's Ed25519 key, hexadecimal
	Grant      int64     `json:"grant"`  // counts the snapshots of this station
	Most       int       `json:"most"`   // keys that may be written by it
	Until      time.Time `json:"until"`  // and until when
	Issued     time.Time `json:"issued"`
	Checkpoint int64     `json:"checkpoint"` // the number of the desk chain's last event, and its hash
	Hash       string    `json:"hash"`
	Persons    []Person  `json:"persons"`
	Tokens     []Known   `json:"tokens"`
	Profiles   []Profile `json:"profiles"`
	// Genuine: keys must be proven genuine; nil: they need not.
	Genuine *Genuine `json:"genuine,omitempty"`
	// Openers are keys that open the sealing key of the store: they are not for persons.
	Openers []token.Serial `json:"openers,omitempty"`
}

// Person is somebody who may be given a key.
type Person struct {
	ID      token.PersonID `json:"id"`
	Account string         `json:"account"`
	Name    string         `json:"name,omitempty"`
	Groups  []string       `json:"groups,omitempty"`
}

// Known is a token that the server knows.
type Known struct {
	ID     token.ID     `json:"id"`
	Model  token.Model  `json:"model"`
	Serial token.Serial `json:"serial,omitempty"`
	Label  string       `json:"label,omitempty"`
	State  token.State  `json:"state"`
	Holder string       `json:"holder,omitempty"` // account; Elsewhere for one that is not in the snapshot
	Slots  []KnownSlot  `json:"slots,omitempty"`
}

// Elsewhere holds what persons hold of whom the station is not told. No account has a comma.
const Elsewhere = ","

// KnownSlot is a live credential, without anything secret.
type KnownSlot struct {
	Slot     token.Slot     `json:"slot"`
	Kind     token.Kind     `json:"kind"`
	PublicID token.PublicID `json:"public_id"`
}

// Profile is one as package provision/profile writes it.
type Profile struct {
	Name    string `json:"name"`
	Version int    `json:"version"`
	Text    string `json:"text"`
}

const (
	snapshotDomain = "tokendesk station snapshot 1"
	signatureLine  = "\nsignature "
	maxSnapshot    = 1 << 27 // bytes: 200,000 persons and tokens
)

// Sign is the snapshot as text: JSON, and a last line with the signature of all before it. Schema and Signer are filled in.
func (s Snapshot) Sign(k seal.SigningKey) ([]byte, error) {
	s.Schema, s.Signer = schema, hex.EncodeToString(k.Public())
	text, err := json.MarshalIndent(s, "", " ")
	if err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	signature := k.Sign(append([]byte(snapshotDomain), text...))
	return append(append(append(text, signatureLine...), hex.EncodeToString(signature)...), '\n'), nil
}

// ParseSnapshot reads what Sign wrote and verifies it: by signer, or, if that is nil, by the key that it names.
func ParseSnapshot(text []byte, signer ed25519.PublicKey) (Snapshot, error) {
	var s Snapshot
	if len(text) > maxSnapshot {
		return s, fmt.Errorf("snapshot: %w: it is too long", ErrDamaged)
	}
	i := bytes.LastIndex(text, []byte(signatureLine))
	if i < 0 {
		return s, fmt.Errorf("snapshot: %w: it has no signature", ErrDamaged)
	}
	body, line := text[:i], bytes.TrimSpace(text[i+len(signatureLine):])
	signature, err := hex.DecodeString(string(line))
	if err != nil {
		return s, fmt.Errorf("snapshot: %w", ErrSignature)
	}
	if err := version(body); err != nil {
		return s, fmt.Errorf("snapshot: %w", err)
	}
	if err := strict(body, &s); err != nil || s.Schema == 0 || CheckName(s.Station) != nil {
		return Snapshot{}, fmt.Errorf("snapshot: %w", ErrDamaged)
	}
	own, err := hex.DecodeString(s.Signer)
	if err != nil || len(own) != ed25519.PublicKeySize || !ed25519.Verify(own, append([]byte(snapshotDomain), body...), signature) {
		return Snapshot{}, fmt.Errorf("snapshot: %w", ErrSignature)
	}
	if signer != nil && !bytes.Equal(own, signer) {
		return Snapshot{}, fmt.Errorf("snapshot: %w", ErrOther)
	}
	return s, nil
}

// person is the one with this number.
func (s Snapshot) person(id token.PersonID) (Person, bool) {
	for _, p := range s.Persons {
		if p.ID == id {
			return p, true
		}
	}
	return Person{}, false
}

// known is the token with this serial.
func (s Snapshot) known(serial token.Serial) (Known, bool) {
	for _, k := range s.Tokens {
		if k.Serial == serial && serial != 0 {
			return k, true
		}
	}
	return Known{}, false
}

// slot is the live credential in a slot.
func (k Known) slot(s token.Slot) (KnownSlot, bool) {
	for _, c := range k.Slots {
		if c.Slot == s {
			return c, true
		}
	}
	return KnownSlot{}, false
}
