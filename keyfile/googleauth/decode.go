package googleauth

import (
	"bytes"
	"io"
	"iter"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Decode implements keyfile.Codec. It reads at most 64 KiB and yields one record or one error, as the module would: an option
// out of its range, which fails every login, is an error too, and so is a stored clock drift, which a record has no place for.
// Recovery codes and used steps are not read.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		p := parser{format: c.Name()}
		rec, err := p.read(r)
		if err != nil {
			p.key.Destroy()
			rec = keyfile.Record{}
		}
		yield(rec, err)
	}
}

// parser is what the lines so far said.
type parser struct {
	format  string
	begun   bool
	key     secret.Bytes
	totp    bool
	period  int64 // seconds; 0: not said
	counter int64 // 0: no HOTP
	options map[string]bool
}

func (p *parser) read(r io.Reader) (keyfile.Record, error) {
	limited := &io.LimitedReader{R: r, N: maxFile + 1}
	for _, err := range keyfile.DecodeLines(p.format, limited, p.parse) {
		if err != nil {
			return keyfile.Record{}, err
		}
	}
	switch {
	case limited.N == 0:
		return keyfile.Record{}, ErrTooLarge
	case !p.begun:
		return keyfile.Record{}, ErrEmpty
	}
	return p.record()
}

// record is the file as the module takes it: HOTP wins over TOTP.
func (p *parser) record() (keyfile.Record, error) {
	rec := keyfile.Record{Line: 1, Key: p.key, Digits: digits, Hash: hash}
	switch {
	case p.counter > 0:
		rec.Kind, rec.Counter = token.HOTP, p.counter
	case p.totp:
		rec.Kind, rec.Period = token.TOTP, defaultPeriod
		if p.period > 0 {
			rec.Period = time.Duration(p.period) * time.Second
		}
	default:
		return rec, &keyfile.RowError{Format: p.format, Line: 1, Field: "type", Cause: "neither TOTP_AUTH nor an HOTP_COUNTER above 0: every login fails"}
	}
	return rec, nil
}

// parse takes one line. It never says that a record stands on it: the file is one.
func (p *parser) parse(row *keyfile.Row) (rec keyfile.Record, ok bool) {
	option, isOption := bytes.CutPrefix(row.Text, []byte("\" "))
	switch {
	case !p.begun && row.Line > 1:
		row.Bad(0, "key", "the secret must stand on the first line")
	case !p.begun:
		p.begun = true
		p.key = readSecret(row)
	case isOption:
		row.Text = option
		p.option(row)
	}
	return rec, false
}

// option reads `NAME number…`. Of an option that is there twice the module takes the first.
func (p *parser) option(row *keyfile.Row) {
	row.Words()
	name := row.Public(1)
	if p.options[name] {
		row.Bad(1, "option", "there twice")
	}
	switch name {
	case "TOTP_AUTH":
		p.totp = true
	case "HOTP_COUNTER":
		p.counter = row.Counter(2)
	case "STEP_SIZE":
		p.period = row.Int(2, "period", 1, int64(maxPeriod/time.Second), 0)
	case "WINDOW_SIZE":
		row.Int(2, "window", 1, 100, 1)
	case "RATE_LIMIT":
		row.Int(2, "rate limit", 1, 100, 1)
		row.Int(3, "rate limit", 1, 3600, 1)
	case "TIME_SKEW":
		if n := row.Public(2); n != "" && n != "0" {
			row.Bad(2, "drift", "the token's clock drifts, and a record has no place for it: set the clock or remove the line")
		}
	default:
		return // LAST0, DISALLOW_REUSE and what else there is
	}
	if p.options == nil {
		p.options = map[string]bool{}
	}
	p.options[name] = true
}

// readSecret reads base32 as the module does: either case, blanks and hyphens skipped, 0, 1 and 8 taken for O, L and B.
func readSecret(row *keyfile.Row) secret.Bytes {
	text := row.Text[:0]
	for _, c := range row.Text { // in place: no copy of the secret stays
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		switch {
		case c == ' ' || c == '\t' || c == '-':
			continue
		case c == '0':
			c = 'O'
		case c == '1':
			c = 'L'
		case c == '8':
			c = 'B'
		case c == '=':
			row.Bad(0, "key", "padding (=), with which the module takes the secret for invalid")
		}
		text = append(text, c)
	}
	if !row.Ok() {
		return secret.Bytes{}
	}
	key, ok := keyfile.ParseBase32(text)
	if !ok || key.Len() > keyfile.MaxSeedSize {
		row.Bad(0, "key", "not base32 of 1 to 64 bytes")
	}
	return key
}

// Detect implements keyfile.Codec: a first line of base32 and the mode among the options.
func (Codec) Detect(head []byte) int {
	first, rest, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	first = bytes.ToUpper(bytes.TrimSpace(first))
	if len(first) == 0 || len(bytes.Trim(first, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 -\t")) > 0 {
		return 0
	}
	for line := range bytes.Lines(rest) {
		if bytes.HasPrefix(line, []byte("\" TOTP_AUTH")) || bytes.HasPrefix(line, []byte("\" HOTP_COUNTER")) {
			return 95
		}
	}
	return 0
}
