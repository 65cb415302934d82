package pskc

import (
	"encoding/binary"
	"encoding/xml"
	"fmt"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// datum is one element below Data: a secret or a number, in clear or encrypted.
type datum struct {
	line  int
	text  []byte // of PlainValue or the drafts' Value; nil: none
	draft bool   // Value: encrypted when the container is
	crypt *crypt // nil: in clear
}

func (d *datum) destroy() { clear(d.text) }

// fields are the words of the data that are read, by their element's name.
var fields = map[string]string{"secret": "key", "counter": "counter", "timeinterval": "period", "timedrift": "drift"}

// at is the datum of a path below Data, and the rest of the path; nil when it is not read. A ValueMAC beside Secret is
// Secret's: some writers put it there.
func (p *pkg) at(path string) (d *datum, name, rest string) {
	name, rest, _ = strings.Cut(path, "/")
	if name == "valuemac" {
		name, rest = "secret", "valuemac"
	}
	if fields[name] == "" {
		return nil, "", ""
	}
	if p.data == nil {
		p.data = map[string]*datum{}
	}
	if p.data[name] == nil {
		p.data[name] = &datum{}
	}
	return p.data[name], name, rest
}

func (p *pkg) openDatum(path string, attrs []xml.Attr) {
	switch d, _, rest := p.at(path); rest {
	case "encryptedvalue":
		d.encrypted()
	case "encryptedvalue/encryptionmethod":
		d.encrypted().algorithm = attr(attrs, "Algorithm")
	}
}

// encrypted is the datum's crypt, made when there is none.
func (d *datum) encrypted() *crypt {
	if d.crypt == nil {
		d.crypt = &crypt{}
	}
	return d.crypt
}

func (p *pkg) closeDatum(path string, text []byte, line int) {
	d, name, rest := p.at(path)
	ok := true
	switch rest {
	case "plainvalue", "value":
		if d.text != nil {
			p.bad(line, fields[name], "two values in one place")
			return
		}
		d.line, d.text, d.draft = line, append([]byte{}, text...), rest == "value"
	case "encryptedvalue/cipherdata/ciphervalue":
		if d.encrypted().data != nil {
			p.bad(line, fields[name], "two values in one place")
			return
		}
		d.line = line
		d.crypt.data, ok = unbase64(text)
	case "valuemac", "encryptedvalue/valuemac":
		d.encrypted().mac, ok = unbase64(text)
	}
	if !ok {
		p.bad(line, fields[name], "not base64")
	}
}

// dataOf are the readers of what a kind of token has below Data. What it has not is not even decrypted: privacyIDEA writes a
// time interval of 0 for HOTP.
var dataOf = map[token.Kind][]func(*pkg, *vault) error{
	token.YubicoOTP: {(*pkg).secret},
	token.HOTP:      {(*pkg).secret, (*pkg).counter},
	token.TOTP:      {(*pkg).secret, (*pkg).period, (*pkg).drift},
}

// value is the bytes of a datum, which the caller clears: the text of a value in clear, or what was encrypted. ok is false
// when there is none, also after a problem with it.
func (p *pkg) value(name string, v *vault) (b []byte, d *datum, pad padding, ok bool, err error) {
	d = p.data[name]
	if d == nil || p.err != nil {
		return nil, nil, 0, false, nil
	}
	if d.draft && v.draft.algorithm != "" && (name == "secret" || d.crypt != nil) {
		raw, ok := unbase64(d.text)
		if !ok {
			p.bad(d.line, fields[name], "not base64")
			return nil, nil, 0, false, nil
		}
		d.encrypted().data = raw
	} else if d.text != nil {
		if d.crypt != nil && (d.crypt.data != nil || d.crypt.mac != nil) {
			p.bad(d.line, fields[name], "in clear and encrypted, or in clear with a MAC")
			return nil, nil, 0, false, nil
		}
		return append([]byte{}, d.text...), d, padStrict, true, nil
	}
	if d.crypt == nil {
		return nil, nil, 0, false, nil
	}
	b, pad, cause, err := v.reveal(d.crypt)
	if cause != "" {
		p.bad(max(d.line, p.line), fields[name], cause)
	}
	return b, d, pad, err == nil && cause == "", err
}

// secret reads the key.
func (p *pkg) secret(v *vault) error {
	b, d, pad, ok, err := p.value("secret", v)
	if !ok {
		return err
	}
	if d.crypt == nil || d.crypt.data == nil {
		text := b
		b, ok = unbase64(text)
		clear(text)
		if !ok {
			p.bad(d.line, "key", "not base64")
			return nil
		}
	}
	p.rec.Key = secret.New(b)
	if pad == padLoose && !usualSeed(len(b)) {
		p.bad(d.line, "key", "its padding is of no known kind, so that its length is in doubt")
	}
	return nil
}

// integer reads a number; absent where there is none. An encrypted one is decimal digits or big-endian bytes, four or eight
// by RFC 6030 §4.2, fewer from some writers.
func (p *pkg) integer(name string, low, high, absent int64, v *vault) (int64, error) {
	b, d, pad, ok, err := p.value(name, v)
	if !ok || len(b) == 0 {
		return absent, err
	}
	defer clear(b)
	isBytes := d.crypt != nil && d.crypt.data != nil
	if d.draft && !isBytes && !decimal(b) {
		if b, isBytes = unbase64(b); !isBytes {
			p.bad(d.line, fields[name], "neither a number nor base64")
			return 0, nil
		}
	}
	switch {
	case isBytes && pad == padNone:
		p.bad(d.line, fields[name], "its padding is of no known kind")
		return 0, nil
	case isBytes && !decimal(b):
		n := low - 1
		if len(b) <= 8 {
			n = int64(binary.BigEndian.Uint64(append(make([]byte, 8-len(b)), b...)))
		}
		if n < low || n > high {
			p.bad(d.line, fields[name], fmt.Sprintf("not a number from %d to %d", low, high))
		}
		return n, nil
	}
	return p.number(string(b), low, high, d.line, fields[name]), nil
}

func decimal(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func (p *pkg) counter(v *vault) (err error) {
	p.rec.Counter, err = p.integer("counter", 0, 1<<62, 0, v)
	return err
}

func (p *pkg) period(v *vault) error {
	n, err := p.integer("timeinterval", 1, 86400, int64(defaultPeriod/time.Second), v)
	p.rec.Period = time.Duration(n) * time.Second
	return err
}

// defaultPeriod is RFC 6238's.
const defaultPeriod = 30 * time.Second

// drift refuses a token whose clock is off. privacyIDEA writes None for one that it never saw.
func (p *pkg) drift(v *vault) error {
	b, d, _, ok, err := p.value("timedrift", v)
	if !ok {
		return err
	}
	switch string(b) {
	case "", "0", "0.0", "None", "\x00", "\x00\x00\x00\x00", "\x00\x00\x00\x00\x00\x00\x00\x00":
	default:
		p.bad(d.line, "drift", "a clock that is off is not supported: synchronize the token")
	}
	return nil
}
