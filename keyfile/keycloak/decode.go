package keycloak

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// maxValue is how much of a file one person, or one value that is passed over, may fill, in bytes.
const maxValue = 1 << 20

// What ends the reading of a file.
var (
	ErrJSON     = errors.New("not well-formed JSON")
	ErrCut      = errors.New("the file ends in the middle of the JSON")
	ErrShape    = errors.New("not a list of persons, a realm or a person as Keycloak has them")
	ErrTooLarge = fmt.Errorf("more than %d KiB in one value", maxValue>>10)
)

// Decode implements keyfile.Codec. It reads partial imports, exports of a realm and bodies of persons, one after another. A
// person whose JSON is of another shape, or a credential, is one bad row; credentials other than OTP are passed over.
// Without secretEncoding the key is the secret's characters, as Keycloak's own tokens have it.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		src := &source{r: bufio.NewReader(r), left: maxValue, line: 1}
		d := &decoder{src: src, json: json.NewDecoder(src), yield: yield}
		if err := d.file(); err != nil && err != errStopped {
			yield(keyfile.Record{}, fmt.Errorf("%s: line %d: %w", c.Name(), src.lineAt(d.json.InputOffset()), err))
		}
	}
}

// errStopped says that nobody wants more.
var errStopped = errors.New("stopped")

type decoder struct {
	src   *source
	json  *json.Decoder
	yield func(keyfile.Record, error) bool
}

// person is a UserRepresentation, as far as it matters.
type person struct {
	Username    string       `json:"username"`
	Credentials []credential `json:"credentials"`
}

// file reads one object after another to the end.
func (d *decoder) file() error {
	if err := d.src.begin(); err != nil {
		return err
	}
	for n := 0; ; n++ {
		d.src.left = maxValue
		t, err := d.json.Token()
		switch {
		case err == io.EOF && d.src.err == io.EOF && n > 0:
			return nil // the file ends between objects
		case err == io.EOF && d.src.err == io.EOF:
			return ErrShape
		case err != nil:
			return d.explain(err)
		case t != json.Delim('{'):
			return ErrShape
		}
		if err := d.object(); err != nil {
			return err
		}
	}
}

// object reads a partial import, a realm or a person behind its brace.
func (d *decoder) object() error {
	var p person
	for d.json.More() {
		key, err := d.token()
		if err != nil {
			return err
		}
		switch key {
		case "users":
			err = d.users()
		case "username":
			err = value(d, &p.Username)
		case "credentials":
			err = value(d, &p.Credentials)
		default:
			err = d.skip()
		}
		if err != nil {
			return err
		}
	}
	if _, err := d.token(); err != nil {
		return err
	}
	return d.tell(p, d.line())
}

// users reads the list of persons.
func (d *decoder) users() error {
	if t, err := d.token(); err != nil {
		return err
	} else if t != json.Delim('[') {
		return ErrShape
	}
	for d.json.More() {
		var p person
		if err := value(d, &p); err != nil {
			return err
		}
		if err := d.tell(p, d.line()); err != nil {
			return err
		}
	}
	_, err := d.token()
	return err
}

// value reads a whole value into v; one of another shape is told as a bad row and leaves v empty.
func value[T any](d *decoder, v *T) error {
	d.src.left = maxValue
	err := d.json.Decode(v)
	line := d.line()
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		*v = *new(T)
		return d.give(keyfile.Record{}, d.bad(line, "credentials", "JSON of another shape than Keycloak's"))
	}
	return d.explain(err)
}

// token is the next token.
func (d *decoder) token() (json.Token, error) {
	d.src.left = maxValue
	t, err := d.json.Token()
	d.line() // so that the line ends behind it are forgotten
	return t, d.explain(err)
}

// skip passes over a value, token by token.
func (d *decoder) skip() error {
	for depth := 0; ; {
		t, err := d.token()
		if err != nil {
			return err
		}
		if t == json.Delim('{') || t == json.Delim('[') {
			depth++
		}
		if t == json.Delim('}') || t == json.Delim(']') {
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

// explain makes an error of ours of the JSON reader's, which may hold a piece of the text.
func (d *decoder) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case d.src.err != nil && d.src.err != io.EOF:
		return d.src.err
	case err == io.EOF, err == io.ErrUnexpectedEOF:
		return ErrCut
	}
	return ErrJSON
}

func (d *decoder) line() int { return d.src.lineAt(d.json.InputOffset()) }

func (d *decoder) bad(line int, field, cause string) error {
	return &keyfile.RowError{Format: Codec{}.Name(), Line: line, Field: field, Cause: cause}
}

func (d *decoder) give(rec keyfile.Record, err error) error {
	if !d.yield(rec, err) {
		return errStopped
	}
	return nil
}

// tell gives the OTP credentials of a person.
func (d *decoder) tell(p person, line int) error {
	for _, c := range p.Credentials {
		if c.Type != typeOTP && c.Type != string(token.HOTP) && c.Type != string(token.TOTP) {
			continue
		}
		rec, field, cause := c.record(p.Username)
		var err error
		if rec.Line = line; cause != "" {
			rec.Destroy()
			rec, err = keyfile.Record{}, d.bad(line, field, cause)
		}
		if err := d.give(rec, err); err != nil {
			return err
		}
	}
	return nil
}

// record is the credential; cause says what is wrong with field, "" for nothing.
func (c credential) record(owner string) (rec keyfile.Record, field, cause string) {
	var s secretData
	var data credentialData
	switch {
	case c.SecretData == "" || c.CredentialData == "":
		return rec, "secretData", "missing: the form of credentials from before Keycloak 7"
	case json.Unmarshal([]byte(c.SecretData), &s) != nil:
		return rec, "secretData", "not a text that holds JSON"
	case json.Unmarshal([]byte(c.CredentialData), &data) != nil:
		return rec, "credentialData", "not a text that holds JSON"
	}
	rec = keyfile.Record{Kind: token.Kind(data.SubType), Digits: data.Digits, Owner: owner}
	if c.CreatedDate != 0 {
		rec.Created = createdAt(time.UnixMilli(c.CreatedDate))
	}
	if field, cause = data.set(&rec); cause != "" {
		return rec, field, cause
	}
	for _, f := range []struct{ field, text string }{{"username", owner}, {"userLabel", c.UserLabel}} {
		if cause := badText(f.text); cause != "" {
			return rec, f.field, cause
		}
	}
	tokenname.Set(&rec, c.UserLabel)
	switch data.SecretEncoding {
	case encodingBase32:
		rec.Key, cause = keyfile.ParseSeed([]byte(s.Value))
	case "":
		if rec.Key = secret.New([]byte(s.Value)); rec.Key.Len() < keyfile.MinSeedSize || rec.Key.Len() > keyfile.MaxSeedSize {
			cause = "too short or too long for a seed"
		}
	default:
		return rec, "secretEncoding", "Keycloak knows BASE32 only"
	}
	return rec, "value", cause
}

// set puts the parameters into rec, whose kind is subType.
func (data credentialData) set(rec *keyfile.Record) (field, cause string) {
	hashes := keyfile.Hashes()
	i := slices.IndexFunc(hashes, func(h string) bool { return strings.EqualFold(algorithm(h), data.Algorithm) })
	switch {
	case rec.Kind != token.HOTP && rec.Kind != token.TOTP:
		return "subType", "neither hotp nor totp"
	case i < 0:
		return "algorithm", "not one of the three names that Keycloak has"
	case data.Digits < 6 || data.Digits > 8:
		return "digits", "not 6, 7 or 8"
	case rec.Kind == token.HOTP && (data.Counter < 0 || data.Counter > maxCounter):
		return "counter", "not a whole number that Keycloak can count"
	case rec.Kind == token.TOTP && (data.Period < 1 || data.Period > int64(keyfile.MaxPeriod/time.Second)):
		return "period", "not a number of seconds from 1 to a day"
	}
	if rec.Hash = hashes[i]; rec.Kind == token.HOTP {
		rec.Counter = data.Counter
	} else {
		rec.Period = time.Duration(data.Period) * time.Second
	}
	return "", ""
}

// source is a reader that fails with ErrTooLarge when more than left bytes are read, and knows in which line a byte stands.
type source struct {
	r    *bufio.Reader
	left int
	err  error // what Read said last

	total    int64
	line     int     // of the last offset that was asked for
	newlines []int64 // offsets of line ends
	passed   int     // how many of them are counted in line
}

// begin passes over a byte-order mark and says why a file cannot be read.
func (s *source) begin() error {
	head, _ := s.r.Peek(64)
	if err := keyfile.Unreadable(head); err != nil {
		return err
	}
	_, err := s.r.Discard(len(head) - len(keyfile.TrimBOM(head)))
	return err
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (n int, err error) {
	defer func() { s.err = err }()
	if s.left <= 0 {
		return 0, ErrTooLarge
	}
	n, err = s.r.Read(p[:min(len(p), s.left)])
	s.newlines, s.passed = append(s.newlines[:0], s.newlines[s.passed:]...), 0
	for i, c := range p[:n] {
		if c == '\n' {
			s.newlines = append(s.newlines, s.total+int64(i))
		}
	}
	s.left -= n
	s.total += int64(n)
	return n, err
}

// lineAt is the line of an offset, 1 the first; offsets only rise.
func (s *source) lineAt(offset int64) int {
	for s.passed < len(s.newlines) && s.newlines[s.passed] < offset {
		s.passed++
		s.line++
	}
	return s.line
}
