package oathapplet

import "encoding/binary"

// Tags, reference yubikey-otp.md §6.2.
const (
	tagName      = 0x71 // also the salt
	tagListed    = 0x72
	tagKey       = 0x73
	tagChallenge = 0x74
	tagFull      = 0x75
	tagTruncated = 0x76
	tagHOTP      = 0x77
	tagProperty  = 0x78 // followed by its value, without a length
	tagVersion   = 0x79
	tagIMF       = 0x7a
	tagAlgorithm = 0x7b
	tagTouch     = 0x7c

	longLength  = 0x80
	saltLen     = 8
	maxNameLen  = 64
	minKeyLen   = 14
	maxKeyLen   = 64
	imfLen      = 4
	minDigits   = 6
	maxDigits   = 8
	kindMask    = 0xf0
	kindHOTP    = 0x10
	kindTOTP    = 0x20
	hashMask    = 0x0f
	hashSHA1    = 0x01
	hashSHA256  = 0x02
	hashSHA512  = 0x03
	onlyGrowing = 0x01 // property: challenges never go back
	needsTouch  = 0x02 // property
)

// tlv appends tag ‖ length ‖ value; the length is BER.
func tlv(b []byte, tag byte, value ...byte) []byte {
	b = append(b, tag)
	switch n := len(value); {
	case n < longLength:
		b = append(b, byte(n))
	case n <= 0xff:
		b = append(b, 0x81, byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x82), uint16(n))
	}
	return append(b, value...)
}

// fields takes apart what a command brings.
type fields struct {
	rest []byte
	bad  bool
}

// next is the value of the tag that must come now.
func (f *fields) next(tag byte) []byte {
	if !f.at(tag) {
		f.bad = true
		return nil
	}
	n, size := 0, 0
	switch b := f.rest[1:]; {
	case len(b) > 0 && b[0] < longLength:
		n, size = int(b[0]), 1
	case len(b) > 1 && b[0] == 0x81:
		n, size = int(b[1]), 2
	case len(b) > 2 && b[0] == 0x82:
		n, size = int(binary.BigEndian.Uint16(b[1:])), 3
	}
	b := f.rest[1+size:]
	if size == 0 || n > len(b) {
		f.bad, f.rest = true, nil
		return nil
	}
	f.rest = b[n:]
	return b[:n]
}

// at says whether the tag comes now.
func (f *fields) at(tag byte) bool { return !f.bad && len(f.rest) > 0 && f.rest[0] == tag }

// byteAfter is the value of a tag that has no length.
func (f *fields) byteAfter(tag byte) byte {
	if !f.at(tag) || len(f.rest) < 2 {
		f.bad = true
		return 0
	}
	v := f.rest[1]
	f.rest = f.rest[2:]
	return v
}

// done says whether everything was as it must be, and nothing is left.
func (f *fields) done() bool { return !f.bad && len(f.rest) == 0 }
