package piv

import (
	"context"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/ykslot/apdu"
)

// Tags of the two objects. Source: NIST SP 800-73-4 part 1 tables 8 and 9.
const (
	tagFASCN   = 0x30
	tagGUID    = 0x34
	tagExpires = 0x35
	tagCardID  = 0xF0
	tagCCCVer  = 0xF1
	tagGrammar = 0xF2
	tagModel   = 0xF5
	tagError   = 0xFE

	guidLen = 16
)

// nonFederal is the FASC-N of issuers outside the government, agency 9999. Source: NIST SP 800-73-4 part 1 §3.3.
const nonFederal = "\xD4\xE7\x39\xDA\x73\x9C\xED\x39\xCE\x73\x9D\x83\x68\x58\x21\x08\x42\x10\x84\x21\xC8\x42\x10\xC3\xEB"

// noExpiry is the date, YYYYMMDD, until which the identifier holds: it is not what a certificate's validity depends on.
const noExpiry = "20991231"

// writeCHUID gives the card a random identifier, without which Windows and macOS take two cards for one.
func (r *Runner) writeCHUID(ctx context.Context, card Card, management secret.Bytes) error {
	guid, err := secret.Random(r.Rand, guidLen)
	if err != nil {
		return err
	}
	b := apdu.AppendTLV(nil, tagFASCN, []byte(nonFederal))
	b = apdu.AppendTLV(b, tagGUID, guid.Reveal())
	b = apdu.AppendTLV(b, tagExpires, []byte(noExpiry))
	b = apdu.AppendTLV(b, 0x3E, nil) // no signature
	return card.PutObject(ctx, management, CHUID, apdu.AppendTLV(b, tagError, nil))
}

// writeCCC says what the card can, with a random number: GSC-RID, manufacturer FF, type 02, and 14 bytes. Source: NIST SP 800-73-4
// part 1 §3.1.1; GSC-IS 2.1 §6.
func (r *Runner) writeCCC(ctx context.Context, card Card, management secret.Bytes) error {
	const number = 14
	id, err := secret.Random(r.Rand, number)
	if err != nil {
		return err
	}
	b := apdu.AppendTLV(nil, tagCardID, append([]byte("\xA0\x00\x00\x01\x16\xFF\x02"), id.Reveal()...))
	b = apdu.AppendTLV(b, tagCCCVer, []byte{0x21})
	b = apdu.AppendTLV(b, tagGrammar, []byte{0x21})
	b = apdu.AppendTLV(b, 0xF3, nil)
	b = apdu.AppendTLV(b, 0xF4, []byte{0x00})
	b = apdu.AppendTLV(b, tagModel, []byte{0x10})
	for _, empty := range []uint32{0xF6, 0xF7, 0xFA, 0xFB, 0xFC, 0xFD, tagError} {
		b = apdu.AppendTLV(b, empty, nil)
	}
	return card.PutObject(ctx, management, CCC, b)
}
