package keyfile

import (
	"hash/maphash"
)

// OncePerOwner is e for a server that keeps one row a person: a second record of one owner is refused with cause, because one
// of the two tokens would not work. It remembers 64 bits of a hash a person. Two persons with the same hash, expected in one of
// 10^7 files of a million rows, would be refused, never written wrong.
func OncePerOwner(e Encoder, format, cause string) Encoder {
	return &once{Encoder: e, format: format, cause: cause, key: maphash.MakeSeed(), seen: map[uint64]struct{}{}}
}

// LastWins is the cause for OncePerOwner where the server keeps the last row of a person.
const LastWins = "a second token of one person: this server keeps one a person, and the last row would replace the others"

type once struct {
	Encoder
	format, cause string
	key           maphash.Seed
	seen          map[uint64]struct{}
}

// Encode implements Encoder.
func (o *once) Encode(rec Record) error {
	owner := maphash.String(o.key, rec.Owner)
	if _, ok := o.seen[owner]; ok {
		return Refused(o.format, rec, []Loss{Fatal("owner", o.cause)})
	}
	if err := o.Encoder.Encode(rec); err != nil {
		return err
	}
	o.seen[owner] = struct{}{}
	return nil
}
