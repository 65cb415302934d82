package usbip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The USB/IP protocol, version 1.1.1: reference yubikey-otp.md §9.2 and the Linux kernel's Documentation/usb/usbip_protocol.rst.
// All integers are big endian, except inside a setup packet.
const (
	version = 0x0111

	opReqDevlist = 0x8005
	opRepDevlist = 0x0005
	opReqImport  = 0x8003
	opRepImport  = 0x0003

	cmdSubmit = 1
	cmdUnlink = 2
	retSubmit = 3
	retUnlink = 4

	busIDLen  = 32
	pathLen   = 256
	headerLen = 48 // of every message of an attached device
	setupLen  = 8

	dirOut = 0
	dirIn  = 1

	// maxTransfer bounds what a client may send or ask for in one transfer: libccid asks for more than 64 KiB.
	maxTransfer = 1 << 17
)

// Results of an import, from the kernel's tools/usb/usbip/libsrc/usbip_common.h.
const (
	importOK     = 0
	importBusy   = 2
	importNoDev  = 4
	speedFull    = 2
	statusStall  = -32  // EPIPE
	statusUnlink = -104 // ECONNRESET
)

// errMalformed is a request that is not of this protocol.
var errMalformed = errors.New("malformed request")

// opRequest is what a client asks before it has a device: version ‖ code ‖ status[4], and for an import a bus id.
type opRequest struct {
	code  uint16
	busID [busIDLen]byte // import only
}

func readOp(r io.Reader) (opRequest, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return opRequest{}, err
	}
	if v := binary.BigEndian.Uint16(h[:]); v != version {
		return opRequest{}, fmt.Errorf("%w: version %04x", errMalformed, v)
	}
	q := opRequest{code: binary.BigEndian.Uint16(h[2:])}
	switch q.code {
	case opReqDevlist:
		return q, nil
	case opReqImport:
		if _, err := io.ReadFull(r, q.busID[:]); err != nil {
			return opRequest{}, err
		}
		return q, nil
	}
	return opRequest{}, fmt.Errorf("%w: operation %04x", errMalformed, q.code)
}

// name is the bus id up to its first zero.
func (q opRequest) name() string {
	b, _, _ := bytes.Cut(q.busID[:], []byte{0})
	return string(b)
}

// opReply is version ‖ code ‖ status[4].
func opReply(code uint16, status uint32) []byte {
	b := binary.BigEndian.AppendUint16(nil, version)
	b = binary.BigEndian.AppendUint16(b, code)
	return binary.BigEndian.AppendUint32(b, status)
}

// urb is a request to an attached device: a transfer, or the unlink of one.
type urb struct {
	unlink bool
	seq    uint32
	devID  uint32
	in     bool
	ep     uint32

	// Of a transfer.
	flags, startFrame, packets, interval uint32
	length                               uint32 // of the buffer
	setup                                [setupLen]byte
	data                                 []byte // OUT

	// Of an unlink.
	victim uint32
}

// readURB reads command ‖ seqnum ‖ devid ‖ direction ‖ ep (4 bytes each), then flags ‖ length ‖ start frame ‖ packets ‖
// interval ‖ setup[8] and the data of an OUT transfer, or the victim's seqnum ‖ zero[24].
func readURB(r io.Reader) (urb, error) {
	var h [headerLen]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return urb{}, err
	}
	word := func(i int) uint32 { return binary.BigEndian.Uint32(h[4*i:]) }
	if word(3) > dirIn {
		return urb{}, fmt.Errorf("%w: direction %d", errMalformed, word(3))
	}
	u := urb{seq: word(1), devID: word(2), in: word(3) == dirIn, ep: word(4)}
	switch word(0) {
	case cmdUnlink:
		u.unlink, u.victim = true, word(5)
		return u, nil
	case cmdSubmit:
	default:
		return urb{}, fmt.Errorf("%w: command %08x", errMalformed, word(0))
	}
	u.flags, u.length, u.startFrame, u.packets, u.interval = word(5), word(6), word(7), word(8), word(9)
	copy(u.setup[:], h[headerLen-setupLen:])
	if u.length > maxTransfer {
		return urb{}, fmt.Errorf("%w: transfer of %d bytes", errMalformed, u.length)
	}
	if !u.in && u.length > 0 {
		u.data = make([]byte, u.length)
		if _, err := io.ReadFull(r, u.data); err != nil {
			return urb{}, err
		}
	}
	return u, nil
}

// reply is 48 bytes: command ‖ seqnum ‖ zero[12] ‖ status ‖ actual length ‖ zero[20], and the data of an IN transfer.
func reply(command, seq uint32, status int32, length int, data []byte) []byte {
	b := make([]byte, headerLen, headerLen+len(data))
	binary.BigEndian.PutUint32(b, command)
	binary.BigEndian.PutUint32(b[4:], seq)
	binary.BigEndian.PutUint32(b[20:], uint32(status))
	binary.BigEndian.PutUint32(b[24:], uint32(length))
	return append(b, data...)
}
