package pivapplet

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/subtle"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// The management key's algorithms, SP 800-78-4 table 6-2, and its reference.
const (
	TripleDES Algorithm = 0x03
	AES128    Algorithm = 0x08
	AES192    Algorithm = 0x0a
	AES256    Algorithm = 0x0c

	slotManagement = 0x9b
	// anyTripleDES is another name of TripleDES.
	anyTripleDES = 0x00
)

// FactoryManagementKey is the factory's: 3DES, from 5.7 on AES-192.
const FactoryManagementKey = "\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08\x01\x02\x03\x04\x05\x06\x07\x08"

// Tags of a dynamic authentication template (7C), SP 800-73-4 part 2 table 7.
const (
	tagDynamic   = 0x7c
	tagWitness   = 0x80
	tagChallenge = 0x81
	tagResponse  = 0x82
	tagPoint     = 0x85
)

// managementKey is the key in 9B.
type managementKey struct {
	alg   Algorithm
	value []byte
	touch byte
}

func (a *Applet) factoryManagementKey() managementKey {
	m := managementKey{alg: TripleDES, value: []byte(FactoryManagementKey), touch: touchNever}
	if a.since(5, 7) {
		m.alg = AES192
	}
	return m
}

// block is the cipher; nil for a key that is none.
func (m *managementKey) block() cipher.Block {
	var b cipher.Block
	var err error
	switch m.alg {
	case TripleDES:
		b, err = des.NewTripleDESCipher(m.value)
	case AES128, AES192, AES256:
		b, err = aes.NewCipher(m.value)
	}
	if err != nil {
		return nil
	}
	return b
}

// keyLen is the length of a management key, 0 for what is none.
func keyLen(alg Algorithm) int {
	switch alg {
	case TripleDES, AES192:
		return 24
	case AES128:
		return 16
	case AES256:
		return 32
	}
	return 0
}

// authenticate is GENERAL AUTHENTICATE with 9B, SP 800-73-4 part 2 §A.1: mutual by a witness, or single by a challenge.
// What does not fit is 6982 and ends what was proven before.
func (a *Applet) authenticate(s *session, c vkey.APDU) ([]byte, uint16) {
	m := &a.management
	if alg := Algorithm(c.P1); alg != m.alg && (alg != anyTripleDES || m.alg != TripleDES) {
		return nil, swWrongP1P2
	}
	outer, ok := parse(c.Data)
	if !ok {
		return nil, vkey.SWWrongData
	}
	items, ok := parse(find(outer, tagDynamic))
	if !ok {
		return nil, vkey.SWWrongData
	}
	block := m.block()
	witness, challenge, response := find(items, tagWitness), find(items, tagChallenge), find(items, tagResponse)
	switch {
	case witness != nil && len(witness) == 0:
		s.block, s.mutual = a.random(block.BlockSize()), true
		hidden := make([]byte, block.BlockSize())
		block.Encrypt(hidden, s.block)
		return dynamic(tagWitness, hidden), vkey.SWSuccess
	case challenge != nil && len(challenge) == 0:
		s.block, s.mutual = a.random(block.BlockSize()), false
		return dynamic(tagChallenge, s.block), vkey.SWSuccess
	case witness != nil && len(challenge) == block.BlockSize():
		if sw := a.prove(s, s.mutual, s.block, witness); sw != vkey.SWSuccess {
			return nil, sw
		}
		hidden := make([]byte, block.BlockSize())
		block.Encrypt(hidden, challenge)
		return dynamic(tagResponse, hidden), vkey.SWSuccess
	case len(response) > 0:
		want := make([]byte, block.BlockSize())
		if s.block != nil {
			block.Encrypt(want, s.block)
		}
		return nil, a.prove(s, !s.mutual, want, response)
	}
	return nil, vkey.SWWrongData
}

// prove compares what the host makes of the card's block, once, and waits for the touch where the key wants one.
func (a *Applet) prove(s *session, asked bool, want, got []byte) uint16 {
	ready := asked && s.block != nil
	s.block, s.admin = nil, false
	a.counts.ManagementTried++
	if !ready || subtle.ConstantTimeCompare(want, got) != 1 {
		a.counts.ManagementWrong++
		return vkey.SWSecurity
	}
	if !a.awaitTouch(a.management.touch) {
		return vkey.SWSecurity
	}
	s.admin = true
	return vkey.SWSuccess
}

func dynamic(tag uint32, value []byte) []byte { return add(nil, tagDynamic, add(nil, tag, value)) }

// setManagementKey is Yubico's FF: P1 FF, P2 FF, or FE for a key that needs a touch, FD for one that is cached; algorithm ‖ 9B ‖ length ‖ key. AES is
// there from 5.4 on.
func (a *Applet) setManagementKey(s *session, c vkey.APDU) ([]byte, uint16) {
	if !s.admin {
		return nil, vkey.SWSecurity
	}
	touch := byte(touchNever)
	switch {
	case c.P1 != 0xff:
		return nil, swWrongP1P2
	case c.P2 == 0xfe && a.since(4, 0):
		touch = touchAlways
	case c.P2 == 0xfd && a.since(4, 3):
		touch = touchCached
	case c.P2 != 0xff:
		return nil, swWrongP1P2
	}
	const head = 3
	if len(c.Data) < head || c.Data[1] != slotManagement || int(c.Data[2]) != len(c.Data)-head {
		return nil, vkey.SWWrongData
	}
	m := managementKey{alg: Algorithm(c.Data[0]), value: bytes.Clone(c.Data[head:]), touch: touch}
	if len(m.value) != keyLen(m.alg) || m.alg != TripleDES && !a.since(5, 4) || m.block() == nil {
		return nil, vkey.SWWrongData
	}
	a.management = m
	return nil, vkey.SWSuccess
}
