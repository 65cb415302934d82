package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// The secrets of a write as one: key, private ID and access code, each with its length as 16 bits big-endian in front.

// bundle copies the secrets; the caller destroys the result.
func bundle(s token.Secrets) secret.Bytes {
	parts := []secret.Bytes{s.Key, s.PrivateID, s.AccessCode}
	size := 0
	for _, p := range parts {
		size += 2 + p.Len()
	}
	out := make([]byte, 0, size) // no growing: nothing is left behind
	for _, p := range parts {
		out = binary.BigEndian.AppendUint16(out, uint16(p.Len()))
		out = append(out, p.Reveal()...)
	}
	return secret.New(out)
}

// unbundle copies the other way.
func unbundle(b secret.Bytes) (token.Secrets, error) {
	var s token.Secrets
	rest := b.Reveal()
	for _, p := range []*secret.Bytes{&s.Key, &s.PrivateID, &s.AccessCode} {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			s.Destroy()
			return token.Secrets{}, fmt.Errorf("%w: its secrets", ErrDamaged)
		}
		n := int(binary.BigEndian.Uint16(rest))
		*p, rest = secret.Copy(rest[2:2+n]), rest[2+n:]
	}
	if len(rest) > 0 || s.Key.Len() == 0 {
		s.Destroy()
		return token.Secrets{}, fmt.Errorf("%w: its secrets", ErrDamaged)
	}
	return s, nil
}

// place binds a sealed bundle to its write: what is put elsewhere does not open.
func place(series [seriesLen]byte, station string, id int64, p Plan) []byte {
	out := append([]byte(nil), series[:]...)
	for _, n := range []uint64{uint64(id), uint64(p.Serial), uint64(p.Slot)} {
		out = binary.BigEndian.AppendUint64(out, n)
	}
	for _, text := range []string{station, string(p.Kind), p.PublicID.String()} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
		out = append(out, text...)
	}
	return out
}

// Open returns the secrets of a write of this journal, with the server's key. The caller destroys them. seal.ErrOpen: they were sealed to another server.
func (f File) Open(k seal.TransferKey, e Entry) (token.Secrets, error) {
	b, err := seal.OpenWith(k, seal.Journal, place(f.Series, f.Header.Station, e.ID, e.Plan), e.Sealed)
	if err != nil {
		return token.Secrets{}, err
	}
	defer b.Destroy()
	return unbundle(b)
}
