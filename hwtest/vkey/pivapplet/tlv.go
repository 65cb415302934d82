package pivapplet

import "encoding/binary"

// item is one BER-TLV data object.
type item struct {
	tag   uint32 // 1 to 3 bytes, as they stand
	value []byte
}

// parse reads all items of b; ok is false where they do not fit.
func parse(b []byte) (items []item, ok bool) {
	for len(b) > 0 {
		var i item
		if i, b, ok = next(b); !ok {
			return nil, false
		}
		items = append(items, i)
	}
	return items, true
}

// next reads the first item of b.
func next(b []byte) (i item, rest []byte, ok bool) {
	if len(b) == 0 {
		return item{}, nil, false
	}
	i.tag, b = uint32(b[0]), b[1:]
	if i.tag&0x1f == 0x1f {
		for more := true; more; {
			if len(b) == 0 || i.tag > 0xffff {
				return item{}, nil, false
			}
			more = b[0]&0x80 != 0
			i.tag, b = i.tag<<8|uint32(b[0]), b[1:]
		}
	}
	if len(b) == 0 {
		return item{}, nil, false
	}
	n := int(b[0])
	b = b[1:]
	if n > 0x7f {
		size := n & 0x7f
		if size == 0 || size > 2 || len(b) < size {
			return item{}, nil, false
		}
		n = 0
		for _, c := range b[:size] {
			n = n<<8 | int(c)
		}
		b = b[size:]
	}
	if n > len(b) {
		return item{}, nil, false
	}
	i.value = b[:n]
	return i, b[n:], true
}

// find is the value of the first item with the tag; nil is none, an empty value is not nil.
func find(items []item, tag uint32) []byte {
	for _, i := range items {
		if i.tag == tag {
			return i.value[:len(i.value):len(i.value)]
		}
	}
	return nil
}

// add appends an item with the shortest length.
func add(b []byte, tag uint32, value []byte) []byte {
	switch {
	case tag > 0xffff:
		b = append(b, byte(tag>>16), byte(tag>>8), byte(tag))
	case tag > 0xff:
		b = append(b, byte(tag>>8), byte(tag))
	default:
		b = append(b, byte(tag))
	}
	switch n := len(value); {
	case n < 0x80:
		b = append(b, byte(n))
	case n < 0x100:
		b = append(b, 0x81, byte(n))
	default:
		b = binary.BigEndian.AppendUint16(append(b, 0x82), uint16(n))
	}
	return append(b, value...)
}
