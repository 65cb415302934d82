// Package migration is what Google Authenticator's export shows as QR codes: URIs, each with a protobuf of up to ten accounts,
//
//	otpauth-migration://offline?data=<URL-escaped base64>
//
// A file has one URI a line. Several URIs of one export are a batch: each names the batch's number, how many there are and
// which one it is. There is no field for a period (30 s) and none for 7 digits. The wire format is written by hand:
//
//	1 repeated account { 1 secret, 2 name, 3 issuer, 4 algorithm, 5 digits, 6 type, 7 counter }
//	2 version  3 batch size  4 batch index  5 batch number
//
// Source: reference key-files.md §8.6.
package migration

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/url"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format.
type Codec struct {
	Batch int32 // the number of what is written, by which a phone knows the codes of one export; any number
}

var _ keyfile.Codec = Codec{}

// The fields of the payload and of an account, and the values of its enumerations. 0 is "unspecified": SHA1, 6 digits, TOTP.
const (
	fieldAccount = 1
	fieldVersion = 2
	fieldSize    = 3
	fieldIndex   = 4
	fieldBatch   = 5

	accountSecret    = 1
	accountName      = 2
	accountIssuer    = 3
	accountAlgorithm = 4
	accountDigits    = 5
	accountType      = 6
	accountCounter   = 7

	version   = 1
	digitsSix = 1
	digits8   = 2
	typeHOTP  = 1
	typeTOTP  = 2
)

// algorithms are the values of accountAlgorithm; 4 is MD5, which is not supported.
var algorithms = map[uint64]string{0: "sha1", 1: "sha1", 2: "sha256", 3: "sha512"}

const (
	scheme   = "otpauth-migration://"
	prefix   = scheme + "offline?data="
	perCode  = 10   // accounts in one QR code, as the app itself shows them
	maxData  = 2000 // bytes of data with more than one account; a QR code holds 2953 bytes, and cameras dislike full ones
	maxBatch = 1000 // accounts in one export, and so codes
	period   = 30   // seconds; the only one
)

// ErrTooMany is an export for more accounts than a person scans.
var ErrTooMany = errors.New("more than 1000 accounts in one export: write several files")

// Name implements keyfile.Codec.
func (Codec) Name() string { return "otpauth-migration" }

// Detect implements keyfile.Codec.
func (Codec) Detect(head []byte) int { return otpauth.DetectScheme(head, scheme) }

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record { return otpauth.Codec{}.Carried(rec) }

// Loss implements keyfile.Codec.
func (Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	out := append(otpauth.Losses(rec), otpauth.Colons(rec)...)
	if rec.Kind == token.TOTP && rec.Period != period*time.Second {
		out = append(out, keyfile.Fatal("period", "the format has no period, and apps take 30 seconds: use an otpauth URI"))
	}
	if rec.Digits != 6 && rec.Digits != 8 {
		out = append(out, keyfile.Fatal("digits", "the format knows 6 or 8 digits: use an otpauth URI"))
	}
	return out
}

// NewEncoder implements keyfile.Codec. The number of codes is in each of them, so everything is written by Close; Encode
// refuses what is over 1000 accounts with ErrTooMany.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder { return &encoder{codec: c, w: w} }

type encoder struct {
	codec    Codec
	w        io.Writer
	accounts [][]byte // each with its tag and length
}

// Encode implements keyfile.Encoder.
func (e *encoder) Encode(rec keyfile.Record) error {
	if err := keyfile.Refused(e.codec.Name(), rec, e.codec.Loss(rec)); err != nil {
		return err
	}
	if len(e.accounts) == maxBatch {
		return fmt.Errorf("%s: %w", e.codec.Name(), ErrTooMany)
	}
	inner := appendAccount(make([]byte, 0, 1024), rec)
	defer clear(inner[:cap(inner)])
	outer := protowire.AppendTag(make([]byte, 0, len(inner)+8), fieldAccount, protowire.BytesType)
	e.accounts = append(e.accounts, protowire.AppendBytes(outer, inner))
	return nil
}

// Close implements keyfile.Encoder.
func (e *encoder) Close() error {
	codes := e.codes()
	defer func() {
		for _, b := range append(codes, e.accounts...) {
			clear(b)
		}
		e.accounts = nil
	}()
	for i, payload := range codes {
		for _, f := range []struct {
			field protowire.Number
			value uint64
		}{{fieldVersion, version}, {fieldSize, uint64(len(codes))}, {fieldIndex, uint64(i)}, {fieldBatch, uint64(int64(e.codec.Batch))}} {
			payload = appendNumber(payload, f.field, f.value)
		}
		line := append([]byte(prefix+data(payload)), '\n')
		_, err := e.w.Write(line)
		clear(payload)
		clear(line)
		if err != nil {
			return fmt.Errorf("%s: write: %w", e.codec.Name(), err)
		}
	}
	return nil
}

// codes puts the accounts into as few payloads as their number and their length allow.
func (e *encoder) codes() (out [][]byte) {
	n := 0
	for _, a := range e.accounts {
		if n == 0 || n == perCode || len(data(append(out[len(out)-1], a...))) > maxData {
			out = append(out, make([]byte, 0, 2*maxData))
			n = 0
		}
		out[len(out)-1] = append(out[len(out)-1], a...)
		n++
	}
	return out
}

// data is a payload as it stands in the URI.
func data(payload []byte) string { return url.QueryEscape(base64.StdEncoding.EncodeToString(payload)) }

func appendNumber(dst []byte, field protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.VarintType), value)
}

func appendAccount(dst []byte, rec keyfile.Record) []byte {
	dst = protowire.AppendTag(dst, accountSecret, protowire.BytesType)
	dst = protowire.AppendBytes(dst, rec.Key.Reveal())
	name := otpauth.Account(rec)
	if rec.Issuer != "" {
		name = rec.Issuer + ":" + name
	}
	dst = protowire.AppendTag(dst, accountName, protowire.BytesType)
	dst = protowire.AppendString(dst, name)
	if rec.Issuer != "" {
		dst = protowire.AppendTag(dst, accountIssuer, protowire.BytesType)
		dst = protowire.AppendString(dst, rec.Issuer)
	}
	for value, hash := range algorithms {
		if hash == rec.Hash && value > 0 {
			dst = appendNumber(dst, accountAlgorithm, value)
		}
	}
	digits := uint64(digitsSix)
	if rec.Digits == 8 {
		digits = digits8
	}
	dst = appendNumber(dst, accountDigits, digits)
	if rec.Kind == token.TOTP {
		return appendNumber(dst, accountType, typeTOTP)
	}
	dst = appendNumber(dst, accountType, typeHOTP)
	return appendNumber(dst, accountCounter, uint64(rec.Counter))
}
