package vkey

import (
	"crypto/aes"
	"encoding/binary"
	"time"
)

// The ticket of reference yubikey-otp.md §4.1: uid[6] ‖ UseCounter LE[2] ‖ Timestamp LE[3] ‖ SessionCounter ‖ random[2] ‖
// complemented CRC LE[2], encrypted as one AES-128 block.
const (
	ticketLen     = 16
	maxUseCounter = 0x7fff
	maxSession    = 0xff
	// sessionWrapped is the session counter after FF: the header says 1 (§4.1).
	sessionWrapped = 1
	// tick is the unit of the timestamp: 8 Hz.
	tick      = time.Second / 8
	stampMask = 0xffffff
)

// count moves the slot's counters on by one ticket; false when UseCounter is used up: the slot is dead then.
func (s *slot) count() bool {
	switch {
	case s.used && s.session < maxSession:
		s.session++
		return true
	case s.use >= maxUseCounter:
		return false
	case s.used:
		s.session = sessionWrapped
	default:
		s.session = 0
	}
	s.use++
	s.used = true
	return true
}

// ticket makes the slot's next ticket with the given uid; ok is false when the counters are used up.
func (k *Key) ticket(s *slot, uid [uidLen]byte) (block [ticketLen]byte, ok bool) {
	if !s.count() {
		return block, false
	}
	stamp := (k.stamp + uint32(k.opts.Now().Sub(k.since)/tick)) & stampMask
	b := append(make([]byte, 0, ticketLen), uid[:]...)
	b = binary.LittleEndian.AppendUint16(b, s.use)
	b = append(b, byte(stamp), byte(stamp>>8), byte(stamp>>16), s.session)
	b = append(b, k.random(2)...)
	return s.cfg.seal(b), true
}

// staticTicket is uid ‖ FF×8 ‖ crc, §4.3: always the same.
func (c *config) staticTicket() [ticketLen]byte {
	b := append(make([]byte, 0, ticketLen), c.uid[:]...)
	return c.seal(append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff))
}

// seal adds the CRC to 14 bytes and encrypts the block.
func (c *config) seal(plain []byte) (block [ticketLen]byte) {
	cipher, err := aes.NewCipher(c.key[:])
	if err != nil {
		panic(err) // the key has 16 bytes by its type
	}
	cipher.Encrypt(block[:], appendCRC(plain))
	return block
}
