package pijson

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/fernet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// maxFile is the largest file, in bytes: a document of MaxDocument, encrypted and as base64.
const maxFile = MaxDocument/3*4 + 1<<10

var errTooLong = fmt.Errorf("more than %d MiB", MaxDocument>>20)

// Decode implements keyfile.Codec. The line of a record or an error is the token's number in the list. Tokens of types other
// than hotp, totp and yubikey are bad rows.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return func(yield func(keyfile.Record, error) bool) {
		doc, err := c.document(r)
		if err != nil {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", c.Name(), err))
			return
		}
		defer doc.Destroy()
		list := json.NewDecoder(bytes.NewReader(doc.Reveal()))
		if t, err := list.Token(); err != nil || t != json.Delim('[') {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", c.Name(), ErrJSON))
			return
		}
		for n := 1; list.More(); n++ {
			var raw json.RawMessage
			if err := list.Decode(&raw); err != nil { // the error would hold a piece of the text
				yield(keyfile.Record{}, fmt.Errorf("%s: token %d: %w", c.Name(), n, ErrJSON))
				return
			}
			rec, err := readToken(raw, n)
			clear(raw)
			if !yield(rec, err) {
				return
			}
		}
		if t, err := list.Token(); err != nil || t != json.Delim(']') || list.More() {
			yield(keyfile.Record{}, fmt.Errorf("%s: %w", c.Name(), ErrJSON))
		}
	}
}

// document is the list in clear.
func (c Codec) document(r io.Reader) (secret.Bytes, error) {
	b := bufio.NewReader(r)
	head, _ := b.Peek(b.Size()) // an error comes again
	if err := keyfile.Unreadable(head); err != nil {
		return secret.Bytes{}, err
	}
	head = bytes.TrimSpace(keyfile.TrimBOM(head))
	sealed := bytes.HasPrefix(head, []byte(fernetHead))
	if len(head) > 0 && !sealed && head[0] != '[' {
		return secret.Bytes{}, ErrJSON
	}
	file, err := io.ReadAll(io.LimitReader(b, maxFile+1))
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("read: %w", err)
	}
	text := bytes.TrimSpace(keyfile.TrimBOM(file))
	if len(file) > maxFile || !sealed && len(text) > MaxDocument {
		clear(file)
		return secret.Bytes{}, errTooLong
	}
	if !sealed {
		return secret.New(text), nil
	}
	key, err := c.key()
	if err != nil {
		return secret.Bytes{}, err
	}
	defer key.Destroy()
	doc, _, err := fernet.Open(key, text)
	if err != nil {
		return secret.Bytes{}, ErrKey
	}
	return doc, nil
}

// key is a copy of the key that opens the file.
func (c Codec) key() (secret.Bytes, error) {
	if c.Key.Len() > 0 {
		return c.Key.Clone(), nil
	}
	if c.ask == nil {
		return secret.Bytes{}, keyfile.ErrLocked
	}
	text, err := c.ask(keyfile.Need{Means: keyfile.PresharedKey})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer text.Destroy()
	return fernet.ParseKey(text.Reveal())
}

// object is one token of the list, as far as it matters.
type object struct {
	Serial  string    `json:"serial"`
	Type    string    `json:"type"`
	Key     hexText   `json:"otpkey"`
	Length  number    `json:"otplen"`
	Counter number    `json:"counter"`
	Count   number    `json:"count"`
	Issuer  string    `json:"issuer"`
	Info    tokenInfo `json:"info_list"`
	User    struct {
		Login string `json:"login"`
	} `json:"user"`
}

type tokenInfo struct {
	Hash   string  `json:"hashlib"`
	Step   number  `json:"timeStep"`
	Prefix string  `json:"yubikey.prefix"`
	UID    hexText `json:"yubikey.tokenid"`
}

// number is an integer, bare or as a string.
type number struct {
	n     int64
	given bool
	bad   bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (v *number) UnmarshalJSON(b []byte) error {
	s := strings.Trim(string(b), `"`)
	if s == "null" || s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	*v = number{n: n, given: true, bad: err != nil}
	return nil
}

// hexText is a secret in hexadecimal.
type hexText struct {
	secret.Bytes
	bad bool
}

// UnmarshalJSON implements json.Unmarshaler.
func (h *hexText) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	b = bytes.TrimSuffix(bytes.TrimPrefix(b, []byte(`"`)), []byte(`"`))
	out := make([]byte, hex.DecodedLen(len(b)))
	if _, err := hex.Decode(out, b); err != nil {
		clear(out)
		h.bad = true
		return nil
	}
	h.Destroy() // the same name twice
	h.Bytes = secret.New(out)
	return nil
}

// readToken reads the n-th token. The error is a *keyfile.RowError.
func readToken(raw []byte, n int) (keyfile.Record, error) {
	bad := func(field, cause string) error {
		return &keyfile.RowError{Format: Codec{}.Name(), Line: n, Field: field, Cause: cause}
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		o.destroy()
		if e := (*json.UnmarshalTypeError)(nil); errors.As(err, &e) && e.Field != "" {
			return keyfile.Record{}, bad(e.Field, "of another JSON type than expected")
		}
		return keyfile.Record{}, bad("token", "not an object")
	}
	rec, field, cause := o.record()
	if cause == "" {
		if losses := (Codec{}).Loss(rec); len(losses) > 0 {
			if i := slices.IndexFunc(losses, func(l keyfile.Loss) bool { return l.Fatal }); i >= 0 {
				field, cause = losses[i].Field, losses[i].Note
			}
		}
	}
	if cause == "" {
		cause, field = keyfile.BadText(rec.Owner), "owner"
	}
	if cause != "" {
		o.destroy()
		return keyfile.Record{}, bad(field, cause)
	}
	rec.Line = n
	return rec, nil
}

func (o *object) destroy() {
	o.Key.Destroy()
	o.Info.UID.Destroy()
}

// record is what the token says, or a field and what is wrong with it. The record shares o's secrets.
func (o *object) record() (rec keyfile.Record, field, cause string) {
	kinds := map[string]token.Kind{"yubikey": token.YubicoOTP, "hotp": token.HOTP, "totp": token.TOTP}
	kind, ok := kinds[strings.ToLower(o.Type)]
	switch {
	case !ok:
		return rec, "type", "a type of token that this server has not: hotp, totp and yubikey are taken"
	case o.Serial == "":
		return rec, "serial", "missing"
	case o.Key.bad:
		return rec, "key", "not hexadecimal"
	case o.Info.UID.bad:
		return rec, "private-id", "not hexadecimal"
	case o.Length.bad || o.Counter.bad || o.Count.bad || o.Info.Step.bad:
		return rec, "number", "otplen, counter, count or timeStep is no whole number"
	}
	rec = keyfile.Record{Kind: kind, Key: o.Key.Bytes, Issuer: o.Issuer, Owner: o.User.Login}
	tokenname.SetSerial(&rec, o.Serial)
	if kind == token.YubicoOTP {
		rec.PrivateID = o.Info.UID.Bytes
		if o.Info.Prefix == "" {
			return rec, "", ""
		}
		id, err := token.ParsePublicID(o.Info.Prefix)
		if err != nil {
			return rec, "public-id", err.Error()
		}
		rec.PublicID = id
		return rec, "", ""
	}
	o.Info.UID.Destroy()
	rec.Digits, rec.Hash = int(min(max(o.Length.n, 0), 99)), strings.ToLower(o.Info.Hash)
	if rec.Hash == "" {
		rec.Hash = "sha1"
	}
	if kind == token.TOTP { // counter is the last step that was used
		rec.Period = 30 * time.Second
		if o.Info.Step.given {
			rec.Period = time.Duration(min(max(o.Info.Step.n, 0), int64(keyfile.MaxPeriod/time.Second))) * time.Second
		}
		return rec, "", ""
	}
	if o.Count.given && o.Counter.given && o.Count.n != o.Counter.n {
		return rec, "counter", "counter and count differ"
	}
	if rec.Counter = o.Counter.n; o.Count.given {
		rec.Counter = o.Count.n
	}
	return rec, "", ""
}
