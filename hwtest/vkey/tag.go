package vkey

import "encoding/binary"

// tag is the NFC Forum type 4 tag that a phone reads, reference yubikey-otp.md §3.6 and §5: two files, selected by their
// identifiers, read by READ BINARY. Over the radio only.
type tag struct {
	k    *Key
	file []byte
}

const (
	aidNDEF   = "\xd2\x76\x00\x00\x85\x01\x01"
	insRead   = 0xb0
	fileCC    = 0xe103
	fileNDEF  = 0xe104
	tagMax    = 0x7f // one READ BINARY
	selFileP1 = 0x00

	// defaultNDEF is what a key shows before any NDEF was written: https://my.yubico.com/yk/# (§3.6).
	defaultNDEF = "U\x04my.yubico.com/yk/#"
)

// capability is the type 4 capability container: its length, mapping version 2.0, the most that is read and written at
// once, and the NDEF file with its size, readable by all, writable by none.
const capability = "\x00\x0f\x20\x00\x7f\x00\x7f\x04\x06\xe1\x04\x00\x7f\x00\xff"

func (*tag) AID() []byte { return []byte(aidNDEF) }

func (t *tag) Enabled(by Transport) bool {
	return by == OverNFC && t.k.profile.Has(NDEF) && t.k.nfc&capOTP != 0
}

func (t *tag) Select(Transport) ([]byte, uint16) {
	t.file = nil
	return nil, SWSuccess
}

func (t *tag) Run(_ Transport, a APDU) ([]byte, uint16) {
	switch {
	case a.INS == insSelect && a.P1 == selFileP1 && len(a.Data) == 2:
		switch binary.BigEndian.Uint16(a.Data) {
		case fileCC:
			t.file = []byte(capability)
		case fileNDEF:
			t.file = t.k.ndefFile()
		default:
			return nil, SWNotFound
		}
		return nil, SWSuccess
	case a.INS == insRead && t.file != nil:
		off := int(a.P1)<<8 | int(a.P2)
		if off > len(t.file) {
			return nil, SWWrongP1P2
		}
		return t.file[off:min(len(t.file), off+min(a.Le, tagMax))], SWSuccess
	}
	return nil, SWNoInstruction
}

// ndefFile is length BE[2] ‖ one short record of a well-known type, whose text goes on with what the slot types, without
// Enter and tabs. A slot that types nothing adds nothing.
func (k *Key) ndefFile() []byte {
	record := k.ndef[k.ndefSlot]
	if record == nil {
		record = []byte(defaultNDEF)
	}
	body := append([]byte(nil), record[1:]...)
	if s := &k.slots[k.ndefSlot]; k.awake(s) && !s.challenge() {
		body = append(body, k.plain(s)...)
	}
	b := append([]byte{0, 0, 0xd1, 0x01, byte(len(body)), record[0]}, body...)
	binary.BigEndian.PutUint16(b, uint16(len(b)-2))
	return b
}

// Tap reads the tag as a phone does, and returns the type, 'U' or 'T', and what is after it: the URI's prefix code or the
// length and name of the text's language, the text, and what the slot adds. ok is false for a key without NDEF.
func (k *Key) Tap() (kind byte, text string, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.plugged || !k.profile.Has(NDEF) {
		return 0, "", false
	}
	b := k.ndefFile()
	return b[5], string(b[6:]), true
}
