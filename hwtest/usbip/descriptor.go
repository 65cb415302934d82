package usbip

import (
	"encoding/binary"
	"unicode/utf16"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// Descriptor types and indexes, USB 2.0 §9.4 and HID 1.11 §7.1.
const (
	descDevice    = 0x01
	descConfig    = 0x02
	descString    = 0x03
	descInterface = 0x04
	descEndpoint  = 0x05
	descHID       = 0x21
	descReport    = 0x22

	strManufacturer = 1
	strProduct      = 2
	strSerial       = 3

	classHID  = 0x03
	classCCID = 0x0b
	epOTP     = 0x81
	epFIDOIn  = 0x84
	epFIDO    = 0x04
	epCCIDIn  = 0x82
	epCCID    = 0x02
	epNotify  = 0x83 // of CCID, about cards that come and go: never here
	epNumber  = 0x0f // without the direction bit
	bulk      = 2    // kinds of endpoints
	interrupt = 3
	// keyInterval is the polling interval of the keyboard in ms, as bInterval and as the pace of typing.
	keyInterval = 10
)

// otpReport is the keyboard's report descriptor with its 8-byte feature report, reference yubikey-otp.md §1.2.
const otpReport = "\x05\x01\x09\x06\xa1\x01\x05\x07\x19\xe0\x29\xe7\x15\x00\x25\x01\x75\x01\x95\x08\x81\x02\x95\x01\x75\x08\x81\x01" +
	"\x95\x05\x75\x01\x05\x08\x19\x01\x29\x05\x91\x02\x95\x01\x75\x03\x91\x03\x95\x06\x75\x08\x15\x00\x25\x65\x05\x07" +
	"\x19\x00\x29\x65\x81\x00\x09\x03\x75\x08\x95\x08\xb1\x02\xc0"

// fidoReport is the FIDO interface's report descriptor, §1.2.
const fidoReport = "\x06\xd0\xf1\x09\x01\xa1\x01\x09\x20\x15\x00\x26\xff\x00\x75\x08\x95\x40\x81\x02" +
	"\x09\x21\x15\x00\x26\xff\x00\x75\x08\x95\x40\x91\x02\xc0"

// iface is one interface of a device.
type iface struct {
	kind                      vkey.Interface
	class, subclass, protocol byte
	report                    string // HID report descriptor; empty for CCID
	endpoints                 []endpoint
}

type endpoint struct {
	address  byte
	size     uint16
	interval byte
	kind     byte
}

// builtInterfaces are the interfaces that are served, in the order of §1.2.
var builtInterfaces = []iface{
	{kind: vkey.OTP, class: classHID, subclass: 1, protocol: 1, report: otpReport, endpoints: []endpoint{{epOTP, 8, keyInterval, interrupt}}},
	{kind: vkey.FIDO, class: classHID, report: fidoReport, endpoints: []endpoint{{epFIDO, 64, 2, interrupt}, {epFIDOIn, 64, 2, interrupt}}},
	{kind: vkey.CCID, class: classCCID, endpoints: []endpoint{{epCCID, 64, 0, bulk}, {epCCIDIn, 64, 0, bulk}, {epNotify, ccidInterruptBytes, ccidInterruptPoll, interrupt}}},
}

// device is a key's descriptors as of one power-up.
type device struct {
	usb    vkey.USB
	ifaces []iface
}

// describe builds the device that a key presents now; ok is false if it has no interface.
func describe(k *vkey.Key) (d device, ok bool) {
	d.usb = k.USB()
	has := vkey.Interfaces(d.usb.PID)
	for _, i := range builtInterfaces {
		if has&i.kind != 0 {
			d.ifaces = append(d.ifaces, i)
		}
	}
	return d, len(d.ifaces) > 0
}

// deviceDescriptor is the 18 bytes of USB 2.0 §9.6.1 with the values of §1.2.
func (d device) deviceDescriptor() []byte {
	packet0 := byte(64)
	if d.usb.PID == 0x0010 {
		packet0 = 8
	}
	b := []byte{18, descDevice, 0x00, 0x02, 0, 0, 0, packet0}
	b = binary.LittleEndian.AppendUint16(b, vkey.VendorID)
	b = binary.LittleEndian.AppendUint16(b, d.usb.PID)
	b = binary.LittleEndian.AppendUint16(b, d.usb.BCDDevice)
	serial := byte(0)
	if d.usb.Serial != "" {
		serial = strSerial
	}
	return append(b, strManufacturer, strProduct, serial, 1)
}

// configDescriptor is the configuration with its interfaces and endpoints.
func (d device) configDescriptor() []byte {
	b := []byte{9, descConfig, 0, 0, byte(len(d.ifaces)), 1, 0, 0x80, 15}
	for n, i := range d.ifaces {
		b = append(b, 9, descInterface, byte(n), 0, byte(len(i.endpoints)), i.class, i.subclass, i.protocol, 0)
		if i.kind == vkey.CCID {
			b = append(b, ccidDescriptor(d.usb.PID)...)
		} else {
			b = append(b, i.hidDescriptor()...)
		}
		for _, e := range i.endpoints {
			b = append(b, 7, descEndpoint, e.address, e.kind)
			b = binary.LittleEndian.AppendUint16(b, e.size)
			b = append(b, e.interval)
		}
	}
	binary.LittleEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// hidDescriptor is HID 1.10, country 0, one report descriptor.
func (i iface) hidDescriptor() []byte {
	b := []byte{9, descHID, 0x10, 0x01, 0, 1, descReport}
	return binary.LittleEndian.AppendUint16(b, uint16(len(i.report)))
}

// stringDescriptor is string n, nil if there is none; string 0 is the language, US English.
func (d device) stringDescriptor(n byte) []byte {
	if n == 0 {
		return []byte{4, descString, 0x09, 0x04}
	}
	s := map[byte]string{strManufacturer: "Yubico", strProduct: d.usb.Product, strSerial: d.usb.Serial}[n]
	if s == "" {
		return nil
	}
	b := []byte{0, descString}
	for _, c := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	b[0] = byte(len(b))
	return b
}

// descriptor answers GET_DESCRIPTOR to the device; nil is a stall, the device qualifier among them.
func (d device) descriptor(kind, index byte) []byte {
	switch {
	case kind == descDevice && index == 0:
		return d.deviceDescriptor()
	case kind == descConfig && index == 0:
		return d.configDescriptor()
	case kind == descString:
		return d.stringDescriptor(index)
	}
	return nil
}

// listing is the device as devlist and import show it: path[256] ‖ bus id[32] ‖ bus ‖ device ‖ speed (4 each) ‖ vendor ‖
// product ‖ bcdDevice (2 each) ‖ class triple ‖ configuration ‖ number of configurations ‖ number of interfaces.
func (d device) listing(n int) []byte {
	b := make([]byte, pathLen+busIDLen)
	copy(b, "/sys/devices/virtual/vkey/"+busID(n))
	copy(b[pathLen:], busID(n))
	for _, w := range []uint32{1, uint32(n), speedFull} {
		b = binary.BigEndian.AppendUint32(b, w)
	}
	for _, w := range []uint16{vkey.VendorID, d.usb.PID, d.usb.BCDDevice} {
		b = binary.BigEndian.AppendUint16(b, w)
	}
	return append(b, 0, 0, 0, 1, 1, byte(len(d.ifaces)))
}

// interfaces is class triple ‖ 0 of each interface, which only devlist has.
func (d device) interfaces() []byte {
	var b []byte
	for _, i := range d.ifaces {
		b = append(b, i.class, i.subclass, i.protocol, 0)
	}
	return b
}
