package journal

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// A journal is the magic, then frames:
//
//	length     4 bytes, big-endian, of the payload; 1 to maxPayload
//	payload    JSON: the Header in the first frame, a Record in each other
//	signature  64 bytes, Ed25519 by the station, of the chain's value
//
// The chain's value of a frame is SHA-256 over the domain, the value of the frame before (zeros before the first), the length and the
// payload. So each signature stands for all that is before it.
const (
	magic       = "tokendesk-journal:1\n"
	chainDomain = "tokendesk journal chain 1"
	signDomain  = "tokendesk journal record 1"
	maxPayload  = 1 << 16
	frameBytes  = 4 + ed25519.SignatureSize // beside the payload
	schema      = 2                         // since genuine keys; what 1 wrote is read, but no key is written by such a snapshot
	seriesLen   = 16
	maxJournal  = 1 << 28 // bytes that Read takes: 80,000 keys
)

// errTorn is an end inside a frame, or one that is not whole: what a power failure leaves.
var errTorn = errors.New("the last record is not whole")

func chain(prev [32]byte, payload []byte) [32]byte {
	h := sha256.New()
	_, _ = io.WriteString(h, chainDomain) // a hash takes everything
	_, _ = h.Write(prev[:])
	_ = binary.Write(h, binary.BigEndian, uint32(len(payload)))
	_, _ = h.Write(payload)
	return [32]byte(h.Sum(nil))
}

func signed(hash [32]byte) []byte { return append([]byte(signDomain), hash[:]...) }

// frame appends a frame.
func frame(out, payload, signature []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(payload)))
	return append(append(out, payload...), signature...)
}

// File is what a journal holds, as far as it verifies.
type File struct {
	Header  Header
	Series  [seriesLen]byte
	Public  ed25519.PublicKey
	Records []Record
	Hash    [32]byte // the chain's value at the end
	Length  int64    // bytes that verify
	Rest    int64    // bytes behind them
	Cause   error    // why Rest does not verify; nil if there is none
	first   [32]byte // the chain's value of the header
}

// Parse reads a journal as far as it verifies: by public, or, if that is nil, by the key in its header, which proves only that one
// station wrote all of it. The error wraps ErrDamaged, ErrVersion or ErrOther: nothing is there. What follows the last good record is in Cause.
func Parse(text []byte, public ed25519.PublicKey) (File, error) {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok {
		return File{}, fmt.Errorf("%w: not a journal of tokendesk", ErrDamaged)
	}
	f := File{Length: int64(len(magic))}
	payload, signature, n, err := next(rest)
	if err != nil {
		return File{}, fmt.Errorf("%w: its first record: %w", ErrDamaged, err)
	}
	if err := f.header(payload, signature, public); err != nil {
		return File{}, err
	}
	f.Length, rest = f.Length+int64(n), rest[n:]
	for len(rest) > 0 {
		payload, signature, n, err := next(rest)
		if err == nil {
			err = f.record(payload, signature)
		}
		if err != nil {
			f.Rest, f.Cause = int64(len(rest)), err
			break
		}
		f.Length, rest = f.Length+int64(n), rest[n:]
	}
	return f, nil
}

// next takes a frame apart.
func next(rest []byte) (payload, signature []byte, n int, err error) {
	if len(rest) < 4 {
		return nil, nil, 0, errTorn
	}
	size := int(binary.BigEndian.Uint32(rest))
	switch {
	case size == 0 || size > maxPayload:
		return nil, nil, 0, fmt.Errorf("%w: a record of %d bytes", errTorn, size)
	case len(rest) < size+frameBytes:
		return nil, nil, 0, errTorn
	}
	return rest[4 : 4+size], rest[4+size : frameBytes+size], frameBytes + size, nil
}

func (f *File) header(payload, signature []byte, public ed25519.PublicKey) error {
	if err := version(payload); err != nil {
		return fmt.Errorf("the journal: %w", err)
	}
	if err := strict(payload, &f.Header); err != nil {
		return fmt.Errorf("%w: its first record is no header", ErrDamaged)
	}
	own, err := hex.DecodeString(f.Header.Public)
	series, err2 := hex.DecodeString(f.Header.Series)
	if err != nil || err2 != nil || len(own) != ed25519.PublicKeySize || len(series) != seriesLen || f.Header.Schema == 0 || CheckName(f.Header.Station) != nil {
		return fmt.Errorf("%w: its first record is no header", ErrDamaged)
	}
	if public != nil && !bytes.Equal(own, public) {
		return fmt.Errorf("the journal: %w", ErrOther)
	}
	f.Public, f.Series = own, [seriesLen]byte(series)
	f.first = chain([32]byte{}, payload)
	if f.Hash = f.first; !ed25519.Verify(f.Public, signed(f.Hash), signature) {
		return fmt.Errorf("%w: its first record: %w", ErrDamaged, ErrSignature)
	}
	return nil
}

func (f *File) record(payload, signature []byte) error {
	hash := chain(f.Hash, payload)
	if !ed25519.Verify(f.Public, signed(hash), signature) {
		return ErrSignature
	}
	var r Record
	if err := strict(payload, &r); err != nil || r.Seq != int64(len(f.Records))+1 {
		return fmt.Errorf("%w: record %d", ErrDamaged, len(f.Records)+1)
	}
	r.Hash, f.Hash = hash, hash
	f.Records = append(f.Records, r)
	return nil
}

// version is ErrVersion for what is of a schema that is not known here. It says nothing of what has none, or is malformed.
func version(text []byte) error {
	var v struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(text, &v); err == nil && v.Schema != nil && (*v.Schema < 0 || *v.Schema > schema) {
		return fmt.Errorf("%w: its schema is %d, %d is known here", ErrVersion, *v.Schema, schema)
	}
	return nil
}

// strict takes what this version wrote, and nothing else.
func strict(text []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("more than one value")
	}
	return nil
}

// At is the chain's value after the record of that number, 0 for the header; ok is false behind the end.
func (f File) At(seq int64) (hash [32]byte, ok bool) {
	switch {
	case seq == 0:
		return f.first, true
	case seq < 0 || seq > int64(len(f.Records)):
		return hash, false
	}
	return f.Records[seq-1].Hash, true
}

// Entries are the writes that the records tell of. The error wraps ErrDamaged: the station signed what it never should.
func (f File) Entries() ([]Entry, error) {
	var all entries
	for _, r := range f.Records {
		if err := all.add(r); err != nil {
			return nil, err
		}
	}
	out := make([]Entry, len(all.list))
	for i, e := range all.list {
		out[i] = *e
	}
	return out, nil
}
