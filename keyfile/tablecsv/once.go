package tablecsv

import (
	"hash/maphash"

	"github.com/tokendesk/tokendesk/keyfile"
)

// OncePerOwner is e for a server that keeps one row a person: a second record of one owner is refused, because the server
// would keep the last row and the first token would stop working. It remembers 64 bits of a hash a person. Two persons with
// the same hash, expected in one of 10^7 files of a million rows, would be refused, never written wrong.
func OncePerOwner(e keyfile.Encoder, format string) keyfile.Encoder {
	return &once{Encoder: e, format: format, key: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

type once struct {
	keyfile.Encoder
	format string
	key    maphash.Seed
	seen   map[uint64]struct{}
}

// Encode implements keyfile.Encoder.
func (o *once) Encode(rec keyfile.Record) error {
	owner := maphash.String(o.key, rec.Owner)
	if _, ok := o.seen[owner]; ok {
		return keyfile.Refused(o.format, rec, []keyfile.Loss{keyfile.Fatal("owner",
			"a second token of one person: this server keeps one a person, and the last row would replace the others")})
	}
	if err := o.Encoder.Encode(rec); err != nil {
		return err
	}
	o.seen[owner] = struct{}{}
	return nil
}
