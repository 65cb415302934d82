package ykslot

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Capability is a bit mask of applications. Source: reference yubikey-otp.md §7.2.
type Capability uint16

// The applications.
const (
	CapOTP     Capability = 0x001
	CapU2F     Capability = 0x002
	CapCCID    Capability = 0x004
	CapOpenPGP Capability = 0x008
	CapPIV     Capability = 0x010
	CapOATH    Capability = 0x020
	CapHSMAuth Capability = 0x100
	CapFIDO2   Capability = 0x200
)

// cap424 is what firmware 4.2.4, which reports wrong capabilities, has: reference yubikey-otp.md §1.7.
const cap424 Capability = 0x3F

var capNames = []struct {
	bit  Capability
	name string
}{{CapOTP, "OTP"}, {CapU2F, "U2F"}, {CapCCID, "CCID"}, {CapOpenPGP, "OpenPGP"}, {CapPIV, "PIV"}, {CapOATH, "OATH"}, {CapHSMAuth, "HSM Auth"}, {CapFIDO2, "FIDO2"}}

// String lists the applications.
func (c Capability) String() string {
	var out []string
	for _, n := range capNames {
		if c&n.bit != 0 {
			out = append(out, n.name)
			c &^= n.bit
		}
	}
	if c != 0 {
		out = append(out, fmt.Sprintf("%x", uint16(c)))
	}
	return strings.Join(out, " ")
}

// FormFactor is the shape of the key. Source: reference yubikey-otp.md §7.2.
type FormFactor uint8

// Bits beside the shape in the form factor's byte. Source: reference yubikey-otp.md §7.2.
const (
	formFIPS        = 0x80
	formSecurityKey = 0x40
)

var formNames = [...]string{"unknown", "keychain (USB-A)", "nano (USB-A)", "keychain (USB-C)", "nano (USB-C)", "keychain (USB-C, Lightning)", "bio (USB-A)", "bio (USB-C)"}

// String names the shape.
func (f FormFactor) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return fmt.Sprintf("form factor %d", uint8(f))
}

// TLV is one item of device information: tag, length (both one byte) and value.
type TLV struct {
	Tag   byte
	Value []byte
}

// DeviceInfo is what a key tells about itself. Fields of absent tags are zero. The zero value is ready for AddPage.
type DeviceInfo struct {
	Serial           uint32 // 0 if the key has none
	Version          Version
	FormFactor       FormFactor
	FIPS             bool // built as a FIPS key
	SecurityKey      bool
	USBSupported     Capability
	USBEnabled       Capability // 0 on firmware 4, which reports it wrongly: see the product ID
	NFCSupported     Capability
	NFCEnabled       Capability
	AutoEject        time.Duration
	ChallengeTimeout time.Duration // 0: the default of 15 s
	Locked           bool          // a LockCode guards the application settings
	PartNumber       string
	TLVs             []TLV // every item as read, in order, known or not
}

// Tags. Source: reference yubikey-otp.md §7.2.
const (
	tagUSBSupported = 0x01
	tagSerial       = 0x02
	tagUSBEnabled   = 0x03
	tagFormFactor   = 0x04
	tagVersion      = 0x05
	tagAutoEject    = 0x06
	tagChalTimeout  = 0x07
	tagDeviceFlags  = 0x08
	tagConfigLock   = 0x0A
	tagUnlock       = 0x0B
	tagReboot       = 0x0C
	tagNFCSupported = 0x0D
	tagNFCEnabled   = 0x0E
	tagMoreData     = 0x10
	tagPartNumber   = 0x13

	tagNFCRestricted = 0x17
)

// AddPage reads one page without its length byte: TLVs, which are added to those of earlier pages; a tag that comes
// again replaces the earlier value. more is the number of pages still to read as tag 10 says, or -1 without one. Errors
// wrap ErrProtocol.
func (d *DeviceInfo) AddPage(b []byte) (more int, err error) {
	more = -1
	for len(b) > 0 {
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return 0, fmt.Errorf("%w: device information is cut off inside an item", ErrProtocol)
		}
		tag, v := b[0], b[2:2+int(b[1])]
		b = b[2+len(v):]
		d.TLVs = append(d.TLVs, TLV{tag, append([]byte(nil), v...)})
		if tag == tagMoreData {
			n, err := number(tag, v, 1)
			if err != nil {
				return 0, err
			}
			more = int(n)
			continue
		}
		if err := d.take(tag, v); err != nil {
			return 0, err
		}
	}
	return more, nil
}

// number reads 1 to max bytes big-endian.
func number(tag byte, v []byte, max int) (uint32, error) {
	if len(v) == 0 || len(v) > max {
		return 0, fmt.Errorf("%w: device information tag %02x has %d bytes", ErrProtocol, tag, len(v))
	}
	var b [4]byte
	copy(b[4-len(v):], v)
	return binary.BigEndian.Uint32(b[:]), nil
}

// numberLen is the largest length of the tags that hold a number.
var numberLen = map[byte]int{
	tagUSBSupported: 2, tagSerial: 4, tagUSBEnabled: 2, tagFormFactor: 1, tagAutoEject: 2,
	tagChalTimeout: 1, tagConfigLock: 1, tagNFCSupported: 2, tagNFCEnabled: 2,
}

func (d *DeviceInfo) take(tag byte, v []byte) error {
	var n uint32
	if max, ok := numberLen[tag]; ok {
		var err error
		if n, err = number(tag, v, max); err != nil {
			return err
		}
	}
	switch tag {
	case tagUSBSupported:
		d.USBSupported = Capability(n)
	case tagSerial:
		d.Serial = n
	case tagUSBEnabled:
		d.USBEnabled = Capability(n)
	case tagFormFactor:
		d.FIPS, d.SecurityKey = n&formFIPS != 0, n&formSecurityKey != 0
		d.FormFactor = FormFactor(n &^ (formFIPS | formSecurityKey))
	case tagVersion:
		if len(v) != 3 {
			return fmt.Errorf("%w: version of %d bytes", ErrProtocol, len(v))
		}
		d.Version = Version{v[0], v[1], v[2]}
	case tagAutoEject:
		d.AutoEject = time.Duration(n) * time.Second
	case tagChalTimeout:
		d.ChallengeTimeout = time.Duration(n) * time.Second
	case tagConfigLock:
		d.Locked = n == 1
	case tagNFCSupported:
		d.NFCSupported = Capability(n)
	case tagNFCEnabled:
		d.NFCEnabled = Capability(n)
	case tagPartNumber:
		d.PartNumber = strings.ToValidUTF8(string(v), "?")
	}
	return nil
}

// correct undoes what firmware v, read from the status, is known to report wrongly.
func (d *DeviceInfo) correct(v Version) {
	if v == (Version{4, 2, 4}) {
		d.USBSupported = cap424
	}
	if v.Major == 4 {
		d.USBEnabled = 0
	}
	if d.Version == (Version{}) {
		d.Version = v
	}
}
