// Package deepnet reads Deepnet's own XML of SafeID tokens, in the form of DualShield 5 and later:
//
//	<data><header><manufacturerCode>DN</manufacturerCode><productCode>ST</productCode><encrypt>NONE</encrypt>
//	  <encode>HEX</encode><digits>6</digits><timeWindow>60</timeWindow><crypto>HmacSHA1</crypto></header>
//	<tokens><token><serial>71358472</serial><seed>08E49538328BAE830E0DB14A82341100BC23B840</seed></token></tokens></data>
//
// The header holds for all tokens. Older files have no digits, timeWindow and crypto: 6 digits and sha1 are taken, the period
// must be said (ErrPeriod). encode is HEX or BASE64, encrypt NONE or AES256; how the key of the latter is made is not published,
// so that it is ErrEncrypted. Source: reference key-files.md §9; Deepnet's wiki, "DualShield Token File Format".
package deepnet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/seedtable"
	"github.com/tokendesk/tokendesk/keyfile/xmlwalk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Reader is the format. The fields are for files without timeWindow: HOTP tokens, or the period of TOTP tokens. They beat the
// file.
type Reader struct {
	Kind   token.Kind
	Period time.Duration
}

var _ keyfile.Reader = Reader{}

// What ends the reading of a file. A Walk's errors do too.
var (
	ErrRoot      = errors.New("the file is no data element with a header and tokens")
	ErrHeader    = errors.New("the header is not understood")
	ErrEncrypted = errors.New("the seeds are encrypted by a key that only Deepnet's own server makes: ask Deepnet for a file with encrypt NONE, in a PGP message")
	ErrPeriod    = seedtable.ErrPeriod
)

// Name implements keyfile.Reader.
func (Reader) Name() string { return "deepnet-xml" }

// Detect implements keyfile.Reader.
func (Reader) Detect(head []byte) int {
	w := xmlwalk.New(bytes.NewReader(head))
	if root, err := w.Child(); err != nil || root == nil || root.Name.Local != "data" {
		return 0
	}
	if first, err := w.Child(); err != nil || first == nil || first.Name.Local != "header" {
		return 0
	}
	return 95
}

// header is what holds for all tokens.
type header struct {
	Encrypt    string `xml:"encrypt"`
	Encode     string `xml:"encode"`
	Digits     string `xml:"digits"`
	TimeWindow string `xml:"timeWindow"`
	Crypto     string `xml:"crypto"`
}

// element is a token.
type element struct {
	Serial string `xml:"serial"`
	Seed   []byte `xml:"seed"`
}

// Decode implements keyfile.Reader. Tokens are read one at a time; positions of errors are lines.
func (r Reader) Decode(file io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		if err := r.decode(xmlwalk.New(file), yield); err != nil {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", r.Name(), err))
		}
	}
}

// decode is nil also when nobody wants more.
func (r Reader) decode(w *xmlwalk.Walk, yield func(keyfile.Record, error) bool) error {
	if root, err := w.Child(); err != nil || root == nil || root.Name.Local != "data" {
		return orElse(err, ErrRoot)
	}
	first, err := w.Child()
	if err != nil || first == nil || first.Name.Local != "header" {
		return orElse(err, ErrRoot)
	}
	var h header
	if err := w.Into(&h, first); err != nil {
		return err
	}
	like, encoding, err := r.template(h)
	if err != nil {
		return err
	}
	if list, err := w.Child(); err != nil || list == nil || list.Name.Local != "tokens" {
		return orElse(err, ErrRoot)
	}
	for {
		child, err := w.Child()
		switch {
		case err != nil:
			return err
		case child == nil:
			_, err = w.Child() // the end of data
			return err
		case child.Name.Local != "token":
			return ErrRoot
		}
		like.Line = w.Line()
		var e element
		if err := w.Into(&e, child); err != nil {
			return err
		}
		if !yield(e.record(like, encoding)) {
			return nil
		}
	}
}

// template is a record with what the header says, and the encoding of the seeds.
func (r Reader) template(h header) (rec keyfile.Record, encoding seedtable.Encoding, err error) {
	for _, s := range []*string{&h.Encrypt, &h.Encode, &h.Digits, &h.TimeWindow, &h.Crypto} {
		*s = strings.ToUpper(strings.TrimSpace(*s))
	}
	bad := func(name, want string) {
		if err == nil {
			err = fmt.Errorf("%w: %s is not %s", ErrHeader, name, want)
		}
	}
	rec = keyfile.Record{Kind: token.TOTP, Digits: 6, Hash: "sha1", Period: r.Period}
	if h.Encrypt != "" && h.Encrypt != "NONE" {
		return rec, "", ErrEncrypted
	}
	switch h.Encode {
	case "HEX":
		encoding = seedtable.Hex
	case "BASE64":
		encoding = seedtable.Base64
	default:
		bad("encode", "HEX or BASE64")
	}
	if h.Digits != "" {
		n, e := strconv.Atoi(h.Digits)
		if rec.Digits = n; e != nil || n < 6 || n > 8 {
			bad("digits", "6, 7 or 8")
		}
	}
	if h.Crypto != "" {
		if rec.Hash = strings.ToLower(strings.TrimPrefix(h.Crypto, "HMAC")); !slices.Contains(keyfile.Hashes(), rec.Hash) {
			bad("crypto", "HmacSHA1, HmacSHA256 or HmacSHA512")
		}
	}
	if r.Kind == token.HOTP {
		rec.Kind, rec.Period = token.HOTP, 0
	} else if h.TimeWindow != "" && rec.Period == 0 {
		n, e := strconv.ParseUint(h.TimeWindow, 10, 12)
		if rec.Period = time.Duration(n) * time.Second; e != nil || n == 0 {
			bad("timeWindow", "a number of seconds")
		}
	}
	if err == nil && rec.Kind == token.TOTP && rec.Period == 0 {
		err = ErrPeriod
	}
	return rec, encoding, err
}

// record is the token as a record, or a *keyfile.RowError. It clears the seed's text.
func (e element) record(like keyfile.Record, encoding seedtable.Encoding) (keyfile.Record, error) {
	defer clear(e.Seed)
	bad := &keyfile.RowError{Format: Reader{}.Name(), Line: like.Line}
	like.Label = strings.TrimSpace(e.Serial)
	if cause := keyfile.BadText(like.Label); cause != "" || like.Label == "" {
		bad.Field, bad.Cause = "serial", strings.TrimSuffix("missing or no name: "+cause, ": ")
		return keyfile.Record{}, bad
	}
	key, err := encoding.Decode(e.Seed)
	if err != nil {
		bad.Field, bad.Cause = "key", err.Error()
		return keyfile.Record{}, bad
	}
	like.Key = key
	if key.Len() < seedtable.MinSeedSize || key.Len() > keyfile.MaxSeedSize {
		key.Destroy()
		bad.Field, bad.Cause = "key", fmt.Sprintf("a seed has %d to %d bytes", seedtable.MinSeedSize, keyfile.MaxSeedSize)
		return keyfile.Record{}, bad
	}
	return like, nil
}

// orElse is err, or otherwise when there is none.
func orElse(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
