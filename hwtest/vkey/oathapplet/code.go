package oathapplet

import (
	"bytes"
	"crypto/hmac"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// accessCode guards everything but SELECT, VALIDATE and RESET.
type accessCode struct {
	algorithm byte // the hash; a 5.4.3 took 02 without a type, and answered 7B 01 02
	key       []byte
}

// prove is the HMAC of a challenge.
func (c *accessCode) prove(challenge []byte) []byte { return mac(c.algorithm, c.key, challenge) }

// setCode is SET CODE: 73 (kind and hash ‖ key) ‖ 74 challenge ‖ 75 its HMAC; an empty 73 alone takes the code away. That
// a key must be as long as an account's is a choice.
func (a *Applet) setCode(s *session, data []byte) uint16 {
	f := fields{rest: data}
	key := f.next(tagKey)
	if f.done() && len(key) == 0 {
		a.code = nil
		return vkey.SWSuccess
	}
	challenge, proof := f.next(tagChallenge), f.next(tagFull)
	if !f.done() || len(key) < 1 || !a.keyFits(key[0]&hashMask, key[1:]) {
		return vkey.SWWrongData
	}
	c := &accessCode{algorithm: key[0] & hashMask, key: bytes.Clone(key[1:])}
	if !hmac.Equal(proof, c.prove(challenge)) {
		return swNoObject
	}
	a.code, a.sessions = c, [2]session{}
	s.unlocked = !a.can.relocks
	return vkey.SWSuccess
}

// validate is VALIDATE: 75 HMAC of the card's challenge ‖ 74 a challenge of the host, whose HMAC is the answer. After a wrong
// one the card wants another SELECT (a choice).
func (a *Applet) validate(s *session, data []byte) ([]byte, uint16) {
	f := fields{rest: data}
	proof, challenge := f.next(tagFull), f.next(tagChallenge)
	if !f.done() {
		return nil, vkey.SWWrongData
	}
	if a.code == nil {
		return nil, swNoObject
	}
	if s.challenge == ([saltLen]byte{}) || !hmac.Equal(proof, a.code.prove(s.challenge[:])) {
		*s = session{}
		return nil, vkey.SWWrongData
	}
	s.unlocked = true
	return tlv(nil, tagFull, a.code.prove(challenge)...), vkey.SWSuccess
}
