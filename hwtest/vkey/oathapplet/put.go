package oathapplet

import (
	"bytes"
	"encoding/binary"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// account is what PUT writes.
type account struct {
	name       []byte
	kind, hash byte
	digits     byte
	key        []byte
	property   byte
	imf        uint32
	count      uint64 // HOTP: codes given since PUT
	last       []byte // challenge of onlyGrowing
}

// find is the index of an account, -1 if there is none.
func (a *Applet) find(name []byte) int {
	for i, have := range a.accounts {
		if bytes.Equal(have.name, name) {
			return i
		}
	}
	// The reference tells it of PUT; that every command looks a name up so is a choice.
	if a.can.prefix {
		for i, have := range a.accounts {
			if bytes.HasPrefix(have.name, name) {
				return i
			}
		}
	}
	return -1
}

// parsePut reads 71 name ‖ 73 (kind and hash, digits, key) ‖ [78 property] ‖ [7A IMF], the last two in any order.
func (a *Applet) parsePut(data []byte) (n account, ok bool) {
	f := fields{rest: data}
	n.name = bytes.Clone(f.next(tagName))
	key := f.next(tagKey)
	for range 2 {
		switch {
		case f.at(tagProperty):
			n.property = f.byteAfter(tagProperty)
		case f.at(tagIMF):
			imf := f.next(tagIMF)
			if len(imf) != imfLen {
				return n, false
			}
			n.imf = binary.BigEndian.Uint32(imf)
		}
	}
	if !f.done() || !nameFits(n.name) || len(key) < 2 {
		return n, false
	}
	n.kind, n.hash, n.digits, n.key = key[0]&kindMask, key[0]&hashMask, key[1], bytes.Clone(key[2:])
	return n, (n.kind == kindHOTP || n.kind == kindTOTP) && n.digits >= minDigits && n.digits <= maxDigits && a.keyFits(n.hash, n.key)
}

func nameFits(name []byte) bool { return len(name) > 0 && len(name) <= maxNameLen }

// keyFits says whether the card takes a key for a hash: 14 to 64 bytes, whatever the hash.
func (a *Applet) keyFits(hash byte, key []byte) bool {
	known := hash == hashSHA1 || hash == hashSHA256 || hash == hashSHA512 && a.can.sha512
	return known && len(key) >= minKeyLen && len(key) <= maxKeyLen
}

// put writes an account; one of that name is overwritten, at its place.
func (a *Applet) put(data []byte) uint16 {
	n, ok := a.parsePut(data)
	if !ok {
		return vkey.SWWrongData
	}
	switch i := a.find(n.name); {
	case i >= 0:
		a.accounts[i] = n
	case len(a.accounts) >= a.can.capacity:
		return a.can.full
	default:
		a.accounts = append(a.accounts, n)
	}
	return vkey.SWSuccess
}

func (a *Applet) delete(data []byte) uint16 {
	f := fields{rest: data}
	name := f.next(tagName)
	if !f.done() || !nameFits(name) {
		return vkey.SWWrongData
	}
	i := a.find(name)
	if i < 0 {
		return swNoObject
	}
	a.accounts = append(a.accounts[:i], a.accounts[i+1:]...)
	return vkey.SWSuccess
}

// rename gives an account another name, which nobody may have (6A80 for that is a choice).
func (a *Applet) rename(data []byte) uint16 {
	f := fields{rest: data}
	from, to := f.next(tagName), f.next(tagName)
	if !f.done() || !nameFits(from) || !nameFits(to) {
		return vkey.SWWrongData
	}
	i := a.find(from)
	if i < 0 {
		return swNoObject
	}
	if a.find(to) >= 0 {
		return vkey.SWWrongData
	}
	a.accounts[i].name = bytes.Clone(to)
	return vkey.SWSuccess
}

// list is 72 length ‖ kind and hash ‖ name for each account, in the order of PUT.
func (a *Applet) list() (out []byte) {
	for _, n := range a.accounts {
		out = tlv(out, tagListed, append([]byte{n.kind | n.hash}, n.name...)...)
	}
	return out
}
