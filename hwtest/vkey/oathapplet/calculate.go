package oathapplet

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// mac is HMAC by the number of a hash.
func mac(number byte, key, message []byte) []byte {
	f := map[byte]func() hash.Hash{hashSHA1: sha1.New, hashSHA256: sha256.New, hashSHA512: sha512.New}[number]
	h := hmac.New(f, key)
	h.Write(message)
	return h.Sum(nil)
}

// calculate is CALCULATE: 71 name ‖ 74 challenge. An HOTP account takes any challenge, or none, and uses up a counter.
func (a *Applet) calculate(by vkey.Transport, data []byte, short bool) ([]byte, uint16) {
	f := fields{rest: data}
	name, challenge := f.next(tagName), f.next(tagChallenge)
	if !f.done() || !nameFits(name) {
		return nil, vkey.SWWrongData
	}
	i := a.find(name)
	if i < 0 {
		return nil, swNoObject
	}
	if a.accounts[i].wantsTouch(a.can) && by == vkey.OverUSB { // what holds the key to a reader is a touch
		a.mu.Unlock()
		touched := a.k.AwaitTouch(a.opts.TouchWait)
		a.mu.Lock()
		if !touched {
			return nil, vkey.SWConditions
		}
	}
	n := &a.accounts[i]
	if n.kind == kindHOTP {
		challenge = binary.BigEndian.AppendUint64(nil, uint64(n.imf)+n.count)
		n.count = (n.count + 1) & a.can.counter
	} else if !n.grows(challenge) {
		return nil, vkey.SWSecurity
	}
	return n.response(a.can, challenge, short), vkey.SWSuccess
}

func (n *account) wantsTouch(can firmware) bool { return can.touch && n.property&needsTouch != 0 }

// grows keeps the challenge of an account whose challenges must not go back; going back is 6982 (a choice).
func (n *account) grows(challenge []byte) bool {
	if n.property&onlyGrowing == 0 {
		return true
	}
	if bytes.Compare(challenge, n.last) < 0 {
		return false
	}
	n.last = bytes.Clone(challenge)
	return true
}

// response is 75 (digits ‖ HMAC) or 76 (digits ‖ code, u32 big endian), RFC 4226 §5.3.
func (n *account) response(can firmware, challenge []byte, short bool) []byte {
	sum := mac(n.hash, n.key, challenge)
	if !short {
		return tlv(nil, tagFull, append([]byte{n.digits}, sum...)...)
	}
	at := sum[len(sum)-1] & 0x0f
	code := binary.BigEndian.Uint32(sum[at:]) & (1<<31 - 1)
	if can.reduced {
		code %= map[byte]uint32{6: 1e6, 7: 1e7, 8: 1e8}[n.digits]
	}
	return tlv(nil, tagTruncated, binary.BigEndian.AppendUint32([]byte{n.digits}, code)...)
}

// calculateAll is CALCULATE ALL: 74 challenge, for all accounts; those of HOTP and those with touch have no code.
func (a *Applet) calculateAll(data []byte, short bool) (out []byte, sw uint16) {
	f := fields{rest: data}
	challenge := f.next(tagChallenge)
	if !f.done() {
		return nil, vkey.SWWrongData
	}
	for i := range a.accounts {
		n := &a.accounts[i]
		out = tlv(out, tagName, n.name...)
		switch {
		case n.kind == kindHOTP:
			out = tlv(out, tagHOTP, n.digits)
		case n.wantsTouch(a.can):
			out = tlv(out, tagTouch, n.digits)
		case !n.grows(challenge):
			return nil, vkey.SWSecurity
		default:
			out = append(out, n.response(a.can, challenge, short)...)
		}
	}
	return out, vkey.SWSuccess
}
