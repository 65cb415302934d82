package usbip

import (
	"encoding/binary"
	"errors"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/usbhid"
)

// setup is a control request: bmRequestType ‖ bRequest ‖ wValue ‖ wIndex ‖ wLength, little endian.
type setup struct {
	kind, request        byte
	value, index, length uint16
}

func parseSetup(b [setupLen]byte) setup {
	return setup{
		kind:    b[0],
		request: b[1],
		value:   binary.LittleEndian.Uint16(b[2:]),
		index:   binary.LittleEndian.Uint16(b[4:]),
		length:  binary.LittleEndian.Uint16(b[6:]),
	}
}

// Requests as bmRequestType ‖ bRequest, reference yubikey-otp.md §9.2.
const (
	getStatus           = 0x8000
	getInterfaceStatus  = 0x8100
	getEndpointStatus   = 0x8200
	getDescriptor       = 0x8006
	getConfiguration    = 0x8008
	setConfiguration    = 0x0009
	getInterfaceDesc    = 0x8106
	getInterface        = 0x810a
	setInterface        = 0x010b
	clearEndpoint       = 0x0201
	getReport           = 0xa101
	getIdle             = 0xa102
	getProtocol         = 0xa103
	setReport           = 0x2109
	setIdle             = 0x210a
	setProtocol         = 0x210b
	reportInput         = 0x0100 // wValue: type, then report ID 0
	reportOutput        = 0x0200
	reportFeature       = 0x0300
	reportProtocolValue = 1
)

// errStall is an answer of STALL that no key gave.
var errStall = errors.New("request is not supported")

// control runs a control transfer. A gone key is not answered: its connection is about to be closed.
func (s *session) control(u urb) {
	q := parseSetup(u.setup)
	data, err := s.answer(q, u.data)
	switch {
	case errors.Is(err, usbhid.ErrGone):
	case err != nil:
		s.send(reply(retSubmit, u.seq, statusStall, 0, nil))
	case !u.in:
		s.send(reply(retSubmit, u.seq, 0, len(u.data), nil))
	default:
		data = data[:min(len(data), int(q.length), int(u.length))]
		s.send(reply(retSubmit, u.seq, 0, len(data), data))
	}
}

// answer is the data of a control request to the device, an interface or an endpoint; an error is a STALL.
func (s *session) answer(q setup, out []byte) ([]byte, error) {
	switch uint16(q.kind)<<8 | uint16(q.request) {
	case getStatus, getInterfaceStatus, getEndpointStatus:
		return []byte{0, 0}, nil
	case getDescriptor:
		return orStall(s.dev.descriptor(byte(q.value>>8), byte(q.value)))
	case getConfiguration:
		return []byte{1}, nil
	case getInterface:
		return []byte{0}, nil
	case setConfiguration, setInterface, clearEndpoint:
		return nil, nil
	}
	if int(q.index) >= len(s.dev.ifaces) {
		return nil, errStall
	}
	i := s.dev.ifaces[q.index]
	if i.report == "" {
		return nil, errStall
	}
	return s.answerHID(i, q, out)
}

// answerHID answers the requests of a HID interface.
func (s *session) answerHID(i iface, q setup, out []byte) ([]byte, error) {
	switch uint16(q.kind)<<8 | uint16(q.request) {
	case getInterfaceDesc:
		switch q.value >> 8 {
		case descReport:
			return []byte(i.report), nil
		case descHID:
			return i.hidDescriptor(), nil
		}
	case setIdle, setProtocol:
		return nil, nil
	case getIdle:
		return []byte{0}, nil
	case getProtocol:
		return []byte{reportProtocolValue}, nil
	case getReport:
		if i.kind == vkey.OTP {
			return s.getReport(q.value)
		}
	case setReport:
		if i.kind == vkey.OTP {
			return nil, s.setReport(q.value, out)
		}
	}
	return nil, errStall
}

func (s *session) getReport(value uint16) ([]byte, error) {
	switch value {
	case reportFeature:
		r, err := s.key.Get()
		return r[:], err
	case reportInput:
		return make([]byte, usbhid.ReportLen), nil
	}
	return nil, errStall
}

// setReport takes a feature report, the last 8 bytes of what came (§9.2), and ignores the keyboard's lights.
func (s *session) setReport(value uint16, out []byte) error {
	switch {
	case value == reportOutput:
		return nil
	case value == reportFeature && len(out) >= usbhid.ReportLen:
		return s.key.Set(usbhid.Report(out[len(out)-usbhid.ReportLen:]))
	}
	return errStall
}

func orStall(b []byte) ([]byte, error) {
	if b == nil {
		return nil, errStall
	}
	return b, nil
}
