// Package pijson is privacyIDEA's own token file, as "pi-tokenjanitor export" writes it since 3.12: a JSON list of tokens,
// encrypted as one Fernet token (package fernet).
//
//	[
//	{"serial": "UBOM00900002", "type": "hotp", "otpkey": "0e69…", "otplen": 8, "counter": 42, "count": 42, …,
//	 "info_list": {"tokenkind": "hardware", "hashlib": "sha1"}},
//	…]
//
// It is the only file for privacyIDEA that names the hash and carries a Yubico OTP's public ID (yubikey.prefix) and private ID
// (yubikey.tokenid), so that privacyIDEA serves the validation protocol from the first OTP on. Serials are those of package
// oathcsv. An existing token of the same serial is overwritten by the importer.
// Source: reference key-files.md §4.6; privacyidea/lib/tokens/yubikeytoken.py, check_otp, for yubikey.tokenid. The writer was
// not tried with a privacyIDEA.
//
// The document is in memory as a whole, up to 64 MiB, which is about 150,000 tokens, and up to four times while it is encrypted.
package pijson

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/fernet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format. With a Key it writes and reads encrypted files; its zero value writes the list in clear, which
// privacyIDEA does not import, and reads lists in clear. With a Realm it writes the owners, who must exist there: the importer
// refuses a token whose owner it cannot find.
type Codec struct {
	Key      secret.Bytes // fernet.KeySize bytes; the caller destroys it
	Realm    string
	Resolver string // may stay empty

	Now    func() time.Time // for the date in an encrypted file; nil: the system's clock
	Random io.Reader        // for its IV; nil: crypto/rand.Reader

	ask keyfile.Ask
}

var (
	_ keyfile.Codec    = Codec{}
	_ keyfile.Unlocker = Codec{}
)

// MaxDocument is the largest list, in bytes of JSON.
const MaxDocument = 64 << 20

// ErrTooLarge is a list that is larger.
var ErrTooLarge = fmt.Errorf("pi-json: more than %d MiB: export in several parts", MaxDocument>>20)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "pi-json" }

// Unlock implements keyfile.Unlocker. The answer is a pre-shared key as privacyIDEA prints it, or its raw bytes.
func (c Codec) Unlock(ask keyfile.Ask) keyfile.Reader {
	c.ask = ask
	return c
}

// WithNewKey is c with a key drawn from random, and that key as text for the operator, once. The caller destroys both.
func (c Codec) WithNewKey(random io.Reader) (Codec, secret.Bytes, error) {
	key, err := secret.Random(random, fernet.KeySize)
	if err != nil {
		return c, secret.Bytes{}, fmt.Errorf("pi-json: %w", err)
	}
	c.Key = key
	return c, fernet.KeyText(key), nil
}

// NewEncoder implements keyfile.Codec. An encrypted file is written by Close, in one piece.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	e := &encoder{out: w, codec: c}
	e.doc.w = w
	if c.Key.Len() > 0 {
		e.doc.w = &e.plain
	}
	e.RowEncoder = keyfile.RowEncoder{Codec: c, W: &e.doc, Head: "[\n", Foot: "\n]\n", Append: e.appendToken}
	return e
}

type encoder struct {
	keyfile.RowEncoder
	codec Codec
	out   io.Writer
	doc   limited
	plain bytes.Buffer // the list before it is encrypted
	more  bool
}

// limited fails when the document becomes too large.
type limited struct {
	w io.Writer
	n int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	if l.n += len(p); l.n > MaxDocument {
		return 0, ErrTooLarge
	}
	return l.w.Write(p)
}

// Close implements keyfile.Encoder.
func (e *encoder) Close() error {
	defer func() { clear(e.plain.Bytes()[:e.plain.Len()]) }()
	if err := e.RowEncoder.Close(); err != nil || e.codec.Key.Len() == 0 {
		return err
	}
	now, random := time.Now, io.Reader(rand.Reader)
	if e.codec.Now != nil {
		now = e.codec.Now
	}
	if e.codec.Random != nil {
		random = e.codec.Random
	}
	sealed, err := fernet.Seal(e.codec.Key, now(), random, e.plain.Bytes())
	if err != nil {
		return fmt.Errorf("pi-json: %w", err)
	}
	if _, err := e.out.Write(append(sealed, '\n')); err != nil {
		return fmt.Errorf("pi-json: write: %w", err)
	}
	return nil
}

// types are privacyIDEA's token types.
var types = map[token.Kind]string{token.YubicoOTP: "yubikey", token.HOTP: "hotp", token.TOTP: "totp"}

func (e *encoder) appendToken(dst []byte, rec keyfile.Record) []byte {
	if e.more {
		dst = append(dst, ",\n"...)
	}
	e.more = true
	dst = quoted(append(dst, `{"serial": `...), tokenname.Serial(rec))
	dst = quoted(append(dst, `, "type": `...), types[rec.Kind])
	dst = hex.AppendEncode(append(dst, `, "otpkey": "`...), rec.Key.Reveal())
	dst = strconv.AppendInt(append(dst, `", "otplen": `...), int64(digits(rec)), 10)
	counter := strconv.FormatInt(rec.Counter, 10)
	dst = append(dst, `, "counter": `+counter+`, "count": `+counter+`, "window": 10, "active": true, "description": "", "_hashed_pin": ""`...)
	if rec.Issuer != "" {
		dst = quoted(append(dst, `, "issuer": `...), rec.Issuer)
	}
	dst = append(dst, `, "info_list": {"tokenkind": "hardware"`...)
	if rec.Kind == token.YubicoOTP {
		dst = quoted(append(dst, `, "yubikey.prefix": `...), rec.PublicID.String())
		dst = hex.AppendEncode(append(dst, `, "yubikey.tokenid": "`...), rec.PrivateID.Reveal())
		dst = append(dst, '"')
	} else {
		dst = quoted(append(dst, `, "hashlib": `...), rec.Hash)
	}
	if rec.Kind == token.TOTP {
		dst = append(dst, `, "timeStep": "`+strconv.FormatInt(int64(rec.Period/time.Second), 10)+`"`...)
	}
	dst = append(dst, '}')
	if rec.Owner != "" && e.codec.Realm != "" {
		dst = quoted(append(dst, `, "user": {"login": `...), rec.Owner)
		dst = quoted(append(dst, `, "resolver": `...), e.codec.Resolver)
		dst = quoted(append(dst, `, "realm": `...), e.codec.Realm)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// digits is otplen: of a Yubico OTP everything that the key types.
func digits(rec keyfile.Record) int {
	if rec.Kind == token.YubicoOTP {
		return rec.OTPLength()
	}
	return rec.Digits
}

// quoted appends public text as a JSON string.
func quoted(dst []byte, s string) []byte {
	b, _ := json.Marshal(s) // a string does not fail
	return append(dst, b...)
}

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Issuer = rec.Issuer
	tokenname.SetSerial(&out, tokenname.Serial(rec))
	if c.Realm != "" {
		out.Owner = rec.Owner
	}
	if rec.Kind == token.YubicoOTP {
		out.PublicID, out.PrivateID = rec.PublicID, rec.PrivateID
	}
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"label": "the file names the token by its serial, or by its public ID when the serial is unknown",
	"owner": "an owner is written only with the realm: name it, or assign the tokens after the import",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := append(keyfile.Unsound(rec, token.YubicoOTP, token.HOTP, token.TOTP), tokenname.SerialLosses(rec)...)
	for field, s := range map[string]string{"owner": rec.Owner, "issuer": rec.Issuer} {
		if cause := keyfile.BadText(s); cause != "" && (field != "owner" || c.Realm != "") {
			out = append(out, keyfile.Fatal(field, "cannot stand in the file: "+cause))
		}
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// fernetHead begins every Fernet token until the year 2106: version 0x80 and four bytes of zero.
const fernetHead = "gAAAAA"

// Detect implements keyfile.Codec.
func (Codec) Detect(head []byte) int {
	head = bytes.TrimSpace(keyfile.TrimBOM(head))
	switch {
	case bytes.HasPrefix(head, []byte(fernetHead)):
		return 90
	case bytes.HasPrefix(head, []byte("[")) && bytes.Contains(head, []byte(`"otpkey"`)) && bytes.Contains(head, []byte(`"serial"`)):
		return 90
	}
	return 0
}

// What ends the reading of a file.
var (
	ErrJSON = errors.New("not a JSON list of tokens")
	ErrKey  = errors.New("the key does not open the file, or the file was changed or cut")
)
