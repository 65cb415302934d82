package usbip

import (
	"encoding/binary"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// The CCID protocol, reference yubikey-otp.md §9.4 and USB CCID 1.1 §6: a message is type ‖ length LE[4] ‖ slot ‖ sequence ‖
// three bytes that depend on the type ‖ data.
const (
	ccidHead = 10

	pcIccPowerOn       = 0x62
	pcIccPowerOff      = 0x63
	pcGetSlotStatus    = 0x65
	pcSetParameters    = 0x61
	pcGetParameters    = 0x6c
	pcResetParameters  = 0x6d
	pcXfrBlock         = 0x6f
	rdrDataBlock       = 0x80
	rdrSlotStatus      = 0x81
	rdrParameters      = 0x82
	ccidFailed         = 0x40 // status: the command failed; low bits 0 card active, 1 inactive, 2 absent
	ccidExtension      = 0x80 // status: the command goes on
	ccidInactive       = 0x01
	ccidAbsent         = 0x02
	errNotSupported    = 0x00
	errBadLength       = 0x01 // the offset of the bad field
	errBadSlot         = 0x05
	errMute            = 0xfe
	protocolT1         = 1
	ccidMessageLen     = 3072 // dwMaxCCIDMessageLength, §1.2
	ccidMessageLenNEO  = 1400
	ccidIFSD           = 3062
	ccidDataRate       = 307200
	ccidDataRateNEO    = 9600
	ccidClock          = 4000       // kHz
	ccidFeatures       = 0x000400fe // extended APDU level, everything automatic
	ccidVoltages       = 7
	ccidProtocols      = 2 // T=1
	ccidBusySlots      = 1
	ccidClassEcho      = 0xff
	ccidDescriptorLen  = 54
	descCCID           = 0x21
	parametersT1       = "\x11\x10\x00\x4d\x00\xfe\x00" // as after an ATR without other wishes, ISO 7816-3
	otpCCIDPID         = 0x0111
	ccidInterruptPoll  = 32
	ccidInterruptBytes = 8
)

// ccidDescriptor is the class descriptor of §1.2.
func ccidDescriptor(pid uint16) []byte {
	message, ifsd, rate := uint32(ccidMessageLen), uint32(ccidIFSD), uint32(ccidDataRate)
	if isNEO(pid) {
		message, ifsd = ccidMessageLenNEO, ccidMessageLenNEO
	}
	if pid == otpCCIDPID {
		rate = ccidDataRateNEO
	}
	b := []byte{ccidDescriptorLen, descCCID, 0x00, 0x01, 0, ccidVoltages}
	words := func(list ...uint32) {
		for _, w := range list {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
	}
	words(ccidProtocols, ccidClock, ccidClock)
	b = append(b, 0)
	words(rate, rate)
	b = append(b, 0)
	words(ifsd, 0, 0, ccidFeatures, message)
	return append(b, ccidClassEcho, ccidClassEcho, 0, 0, 0, ccidBusySlots)
}

func isNEO(pid uint16) bool { return pid>>4 == 0x011 }

// extendEvery is how often a command that goes on says so: libccid waits 3 s for an answer.
const extendEvery = 500 * time.Millisecond

// ccid is the reader in a key. It is not safe for concurrent use.
type ccid struct {
	card   *vkey.Card
	extend func(message []byte) // sends a message that is no answer yet
	ended  <-chan struct{}      // when closed, what a command that goes on will answer is of no use
	max    int                  // dwMaxCCIDMessageLength
	in     []byte               // what has come of a message
	skip   int                  // bytes of a message that was refused
	active bool
}

// take reads what came on the bulk endpoint, in any pieces, and returns an answer for each message that is complete.
func (c *ccid) take(b []byte) (answers [][]byte) {
	for len(b) > 0 {
		if c.skip > 0 {
			n := min(c.skip, len(b))
			c.skip, b = c.skip-n, b[n:]
			continue
		}
		want := ccidHead
		if len(c.in) >= ccidHead {
			want += c.length()
		}
		n := min(want-len(c.in), len(b))
		c.in, b = append(c.in, b[:n]...), b[n:]
		if len(c.in) < ccidHead {
			continue
		}
		if c.length() > c.max-ccidHead {
			answers = append(answers, c.reply(rdrSlotStatus, ccidFailed|c.status(), errBadLength, 0, nil))
			c.skip, c.in = c.length(), nil
			continue
		}
		if len(c.in) == ccidHead+c.length() {
			if answer := c.run(); answer != nil {
				answers = append(answers, answer)
			}
			c.in = nil
		}
	}
	return answers
}

// length is that of the data of the message that comes in; a huge one is taken for 2 GiB.
func (c *ccid) length() int { return int(min(binary.LittleEndian.Uint32(c.in[1:]), 1<<31-1)) }

func (c *ccid) status() byte {
	switch {
	case !c.card.Present():
		return ccidAbsent
	case !c.active:
		return ccidInactive
	}
	return 0
}

// reply is an answer to the message in c.in; last is chain parameter or protocol.
func (c *ccid) reply(kind, status, fault, last byte, data []byte) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(data)))
	return append(append(b, c.in[5], c.in[6], status, fault, last), data...)
}

// run executes the message in c.in; nil where the key left meanwhile, or the host.
func (c *ccid) run() []byte {
	if c.in[5] != 0 {
		return c.reply(rdrSlotStatus, ccidFailed|ccidAbsent, errBadSlot, 0, nil)
	}
	switch c.in[0] {
	case pcIccPowerOn:
		c.card.Reset()
		if c.active = c.card.Present(); !c.active {
			return c.reply(rdrDataBlock, ccidFailed|ccidAbsent, errMute, 0, nil)
		}
		return c.reply(rdrDataBlock, 0, 0, 0, c.card.ATR())
	case pcIccPowerOff:
		c.card.Reset()
		c.active = false
		return c.reply(rdrSlotStatus, c.status(), 0, 0, nil)
	case pcGetSlotStatus:
		return c.reply(rdrSlotStatus, c.status(), 0, 0, nil)
	case pcGetParameters, pcResetParameters, pcSetParameters:
		return c.reply(rdrParameters, c.status(), 0, protocolT1, []byte(parametersT1))
	case pcXfrBlock:
		return c.transfer()
	}
	return c.reply(rdrSlotStatus, ccidFailed|c.status(), errNotSupported, 0, nil)
}

// transfer runs a command of the card, and asks for more time while that goes on: it waits for a touch, or makes an RSA key.
func (c *ccid) transfer() []byte {
	if !c.active {
		return c.reply(rdrDataBlock, ccidFailed|c.status(), errMute, 0, nil)
	}
	type result struct {
		answer []byte
		err    error
	}
	done := make(chan result, 1)
	go func() {
		answer, err := c.card.Transmit(c.in[ccidHead:])
		done <- result{answer, err}
	}()
	tick := time.NewTicker(extendEvery)
	defer tick.Stop()
	for {
		select {
		case r := <-done:
			if r.err != nil {
				return nil
			}
			return c.reply(rdrDataBlock, 0, 0, 0, r.answer)
		case <-tick.C:
			c.extend(c.reply(rdrDataBlock, ccidExtension, 1, 0, nil)) // once the waiting time more
		case <-c.ended:
			return nil
		}
	}
}
