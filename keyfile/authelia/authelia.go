// Package authelia is the YAML file that `authelia storage user totp import` reads and `… export` writes:
//
//	totp_configurations:
//	    - created_at: 2026-03-01T10:00:00Z
//	      username: "carol"
//	      issuer: "Campus Login"
//	      algorithm: SHA1
//	      digits: 6
//	      period: 30
//	      secret: Q0pIWFRLQTVDN0tQNkkyNEhZTURUWVFUQ0pJQlhPTEk=
//
// The secret is base64 of the *base32 text*. A person has one TOTP configuration. Only this shape of YAML is read: one list of
// mappings whose values are plain or quoted scalars on their line; anchors, tags, flow and block scalars are refused.
// Source: reference key-files.md §8.8.
package authelia

import (
	"bytes"
	"encoding/base64"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/jsonline"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

const (
	root = "totp_configurations"
	head = root + ":\n"

	// unknownTime stands for no time, because some of Authelia's databases take none before it.
	unknownTime = "1970-01-01T00:00:01Z"
)

// Name implements keyfile.Codec.
func (Codec) Name() string { return "authelia" }

// NewEncoder implements keyfile.Codec. A second token of one person is refused.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return keyfile.OncePerOwner(&keyfile.RowEncoder{Codec: c, W: w, Head: head, Append: appendItem}, c.Name(), keyfile.LastWins)
}

func appendItem(dst []byte, rec keyfile.Record) []byte {
	created := unknownTime
	if t := createdAt(rec); !t.IsZero() {
		created = t.Format(time.RFC3339)
	}
	dst = append(dst, "    - created_at: "+created+"\n      username: "...)
	dst = jsonline.Append(dst, rec.Owner) // a JSON string is a double-quoted scalar
	dst = append(dst, "      issuer: "...)
	dst = jsonline.Append(dst, rec.Issuer)
	dst = append(dst, "      algorithm: "+strings.ToUpper(rec.Hash)+"\n      digits: "+strconv.Itoa(rec.Digits)+"\n      period: "...)
	dst = strconv.AppendInt(dst, int64(rec.Period/time.Second), 10)
	dst = append(dst, "\n      secret: "...)
	text := keyfile.AppendBase32(nil, rec.Key.Reveal())
	defer clear(text)
	return append(base64.StdEncoding.AppendEncode(dst, text), '\n')
}

// createdAt is the time that the file carries: whole seconds after unknownTime.
func createdAt(rec keyfile.Record) time.Time {
	if t := keyfile.Seconds(rec.Created); t.Unix() > 1 {
		return t
	}
	return time.Time{}
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Issuer, out.Owner, out.Created = rec.Issuer, rec.Owner, createdAt(rec)
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "Authelia shows no serial: a person has one TOTP token", "label": "Authelia shows no serial: a person has one TOTP token",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.TOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "Authelia knows TOTP only: program a TOTP credential, or register the key there with WebAuthn")}
	}
	out := keyfile.LossTOTP(rec)
	if rec.Owner == "" {
		out = append(out, keyfile.Fatal("owner", "nobody has the token, and each entry is a person's: issue it first"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Detect implements keyfile.Codec: by the first key.
func (Codec) Detect(head []byte) int {
	for line := range bytes.Lines(keyfile.TrimBOM(head)) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' || string(line) == "---" {
			continue
		}
		if bytes.HasPrefix(line, []byte(root+":")) {
			return 95
		}
		return 0
	}
	return 0
}
