package apdu

import (
	"fmt"
	"iter"
)

// TLV is one item: its tag as it is written, 1 to 3 bytes big-endian, and its value. The value is part of what was read.
type TLV struct {
	Tag   uint32
	Value []byte
}

// Bits of a tag. Source: ISO/IEC 7816-4 §5.2.2.1 (BER-TLV).
const (
	tagConstructed = 0x20 // of the first byte: the value is made of items
	tagLong        = 0x1F // all set: more bytes of tag follow
	tagMore        = 0x80 // of each following byte: another one follows
	maxTagLen      = 3
)

// Constructed reports whether the value is made of items.
func (t TLV) Constructed() bool {
	first := t.Tag
	for first > 0xFF {
		first >>= 8
	}
	return first&tagConstructed != 0
}

// Items yields the items of b in their order, and at the first that is malformed an error that wraps ErrProtocol.
func Items(b []byte) iter.Seq2[TLV, error] {
	return func(yield func(TLV, error) bool) {
		for len(b) > 0 {
			item, rest, err := next(b)
			if !yield(item, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// Find is the value of the first item with a tag; of further tags, inside that one. Not ok: there is none, or what
// comes before it is malformed.
func Find(b []byte, path ...uint32) (value []byte, ok bool) {
	for _, tag := range path {
		found := false
		for item, err := range Items(b) {
			if err != nil {
				return nil, false
			}
			if found = item.Tag == tag; found {
				b = item.Value
				break
			}
		}
		if !found {
			return nil, false
		}
	}
	return b, true
}

func next(b []byte) (item TLV, rest []byte, err error) {
	cut := fmt.Errorf("%w: an item is cut off", ErrProtocol)
	item.Tag = uint32(b[0])
	n := 1
	for more := b[0]&tagLong == tagLong; more; n++ {
		if n == len(b) {
			return TLV{}, nil, cut
		}
		if n == maxTagLen {
			return TLV{}, nil, fmt.Errorf("%w: a tag of more than %d bytes", ErrProtocol, maxTagLen)
		}
		item.Tag = item.Tag<<8 | uint32(b[n])
		more = b[n]&tagMore != 0
	}
	size, m, ok := length(b[n:])
	if !ok || size > len(b)-n-m {
		return TLV{}, nil, cut
	}
	item.Value = b[n+m : n+m+size : n+m+size]
	return item, b[n+m+size:], nil
}

// length reads a length of one byte below 80, or of 81 or 82 with one or two bytes after it. n is how many bytes it
// takes. Source: ISO/IEC 7816-4 §5.2.2.2; longer ones do not fit an answer.
func length(b []byte) (size, n int, ok bool) {
	switch {
	case len(b) == 0:
		return 0, 0, false
	case b[0] < 0x80:
		return int(b[0]), 1, true
	case b[0] == 0x81 && len(b) > 1:
		return int(b[1]), 2, true
	case b[0] == 0x82 && len(b) > 2:
		return int(b[1])<<8 | int(b[2]), 3, true
	}
	return 0, 0, false
}

// AppendTLV appends an item with a tag as it is written (1 to 3 bytes) and a value of 65535 bytes at most; a longer one
// is a mistake of the caller's and panics.
func AppendTLV(b []byte, tag uint32, value []byte) []byte {
	for shift := 16; shift >= 0; shift -= 8 {
		if shift == 0 || tag>>shift != 0 {
			b = append(b, byte(tag>>shift))
		}
	}
	switch n := len(value); {
	case n < 0x80:
		b = append(b, byte(n))
	case n <= 0xFF:
		b = append(b, 0x81, byte(n))
	case n <= 0xFFFF:
		b = append(b, 0x82, byte(n>>8), byte(n))
	default:
		panic(fmt.Sprintf("apdu: item of %d bytes", n))
	}
	return append(b, value...)
}
