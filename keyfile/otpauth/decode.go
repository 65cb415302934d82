package otpauth

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// MaxPeriod is the longest time step that is read, in seconds: apps take any.
const MaxPeriod = 1<<31 - 1

// ErrMany is text with more than one URI where one was wanted.
var ErrMany = errors.New("more than one URI")

// ErrNone is text without a URI.
var ErrNone = errors.New("no otpauth URI")

// Parse reads one URI. What is wrong with it is a *keyfile.RowError of line 1. The caller destroys the record and clears uri.
func Parse(uri []byte) (keyfile.Record, error) {
	var out keyfile.Record
	found := ErrNone
	for rec, err := range (Codec{}).Decode(bytes.NewReader(uri)) {
		if found == nil {
			err = ErrMany
		}
		if err != nil {
			rec.Destroy()
			out.Destroy()
			return keyfile.Record{}, err
		}
		out, found = rec, nil
	}
	return out, found
}

// Decode implements keyfile.Codec. Lines that begin with # are passed over.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

// Detect implements keyfile.Codec.
func (Codec) Detect(head []byte) int { return DetectScheme(head, "otpauth://") }

// DetectScheme is 95 if the first line that says something begins with scheme, in any case.
func DetectScheme(head []byte, scheme string) int {
	line := keyfile.FirstRow(head)
	if len(line) >= len(scheme) && strings.EqualFold(string(line[:len(scheme)]), scheme) {
		return 95
	}
	return 0
}

// parse reads the URI of a line.
func parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	text := bytes.TrimSpace(row.Text)
	if text[0] == '#' {
		return rec, false
	}
	scheme, rest, _ := bytes.Cut(text, []byte("://"))
	switch s := strings.ToLower(string(scheme)); s {
	case "otpauth":
	case "otpauth-migration":
		row.Bad(0, "scheme", "a Google Authenticator export among URIs: read it as otpauth-migration")
	default:
		if _, cause := Kind(s); others[s] != "" {
			row.Bad(0, "type", cause)
		}
		row.Bad(0, "scheme", "not an otpauth URI")
	}
	path, query, _ := bytes.Cut(rest, []byte("?"))
	kind, label, _ := bytes.Cut(path, []byte("/"))
	rec.Kind = readKind(row, kind)
	p := readParameters(row, query)
	p.names(row, label, &rec)
	p.numbers(row, &rec)
	if !row.Ok() {
		return rec, true
	}
	seed, sound := keyfile.ParseBase32(p.value["secret"])
	clear(p.value["secret"])
	if !sound {
		row.Bad(0, "key", "not base32")
	}
	rec.Key = seed
	for _, l := range keyfile.Unsound(rec, token.HOTP, token.TOTP) {
		row.Bad(0, l.Field, l.Note)
	}
	return rec, true
}

func readKind(row *keyfile.Row, word []byte) token.Kind {
	kind, cause := Kind(string(word))
	if cause != "" {
		row.Bad(0, "type", cause)
	}
	return kind
}

// parameters are the values of the query that are read, by their names in lower case. issuer is not unescaped.
type parameters struct{ value map[string][]byte }

// known are the parameters that are read; all others are passed over.
var known = map[string]string{"secret": "key", "issuer": "issuer", "algorithm": "hash", "digits": "digits", "period": "period",
	"counter": "counter", "encoder": "type"}

func readParameters(row *keyfile.Row, query []byte) parameters {
	p := parameters{map[string][]byte{}}
	for part := range bytes.SplitSeq(query, []byte("&")) {
		key, value, _ := bytes.Cut(part, []byte("="))
		name := strings.ToLower(string(key))
		field, ok := known[name]
		if !ok {
			continue
		}
		if _, twice := p.value[name]; twice {
			row.Bad(0, field, "given twice")
			continue
		}
		if name != "issuer" {
			value = unescape(row, field, value, true)
		}
		p.value[name] = value
	}
	return p
}

// names sets issuer and account. A + in the issuer is a blank, as in forms, unless the label has it too.
func (p parameters) names(row *keyfile.Row, label []byte, rec *keyfile.Record) {
	text := string(unescape(row, "owner", label, false))
	issuer := string(unescape(row, "issuer", p.value["issuer"], false))
	if !strings.HasPrefix(text, issuer+":") {
		issuer = string(unescape(row, "issuer", p.value["issuer"], true))
	}
	rec.Issuer, rec.Owner = SplitLabel(text, issuer)
	if field, cause := BadName(*rec); cause != "" {
		row.Bad(0, field, cause)
	}
}

// numbers sets hash, digits and period or counter.
func (p parameters) numbers(row *keyfile.Row, rec *keyfile.Record) {
	if encoder := strings.ToLower(string(p.value["encoder"])); others[encoder] != "" {
		_, cause := Kind(encoder)
		row.Bad(0, "type", cause)
	}
	hash, cause := Hash(string(p.value["algorithm"]))
	if cause != "" {
		row.Bad(0, "hash", cause)
	}
	rec.Hash = hash
	rec.Digits = int(p.number(row, "digits", 6, 8, 6))
	if rec.Kind == token.HOTP {
		rec.Counter = p.number(row, "counter", 0, keyfile.MaxCounter, 0)
		return
	}
	rec.Period = time.Duration(p.number(row, "period", 1, MaxPeriod, 30)) * time.Second
}

func (p parameters) number(row *keyfile.Row, name string, low, high, absent int64) int64 {
	text := p.value[name]
	if len(text) == 0 {
		return absent
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil || int64(n) < low || int64(n) > high {
		row.Bad(0, name, fmt.Sprintf("not a number from %d to %d", low, high))
		return absent
	}
	return int64(n)
}

// unescape copies text with %XX replaced, and with + for a blank if plus is set.
func unescape(row *keyfile.Row, field string, text []byte, plus bool) []byte {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] == '+' && plus:
			out = append(out, ' ')
		case text[i] != '%':
			out = append(out, text[i])
		default:
			var c [1]byte
			if i+2 >= len(text) {
				row.Bad(0, field, "a % that begins no %XX")
				return nil
			}
			if _, err := hex.Decode(c[:], text[i+1:i+3]); err != nil {
				row.Bad(0, field, "a % that begins no %XX")
				return nil
			}
			out = append(out, c[0])
			i += 2
		}
	}
	return out
}
