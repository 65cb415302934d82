// Package kanidm is what a synchronisation connector puts into Kanidm's SCIM entries so that persons keep their tokens: a
// JSON object a line, for one token,
//
//	{"name":"dave","totp_import":[{"external_id":"TOTP00900004","secret":"n4gTKZpf…","algo":"sha256","step":30,"digits":6}]}
//
// whose totp_import belongs into the entry of the person of that name. Two lines of one person are two elements of one list.
// The secret is base64 of the seed with padding; the label, external_id, tells the tokens of a person apart. Kanidm takes it
// through its synchronisation only: there is no import of files. Source: reference key-files.md §8.8; limits from Kanidm's
// server/lib/src/idm/scim.rs at 05173b5, read, not run.
package kanidm

import (
	"bytes"
	"encoding/base64"
	"io"
	"iter"
	"slices"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/jsonline"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/tokenname"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format; its zero value is ready.
type Codec struct{}

var _ keyfile.Codec = Codec{}

type entry struct {
	Name string `json:"name"`
	TOTP []totp `json:"totp_import"`
}

type totp struct {
	Label  string `json:"external_id"`
	Secret string `json:"secret"`
	Hash   string `json:"algo"`
	Step   int64  `json:"step"` // seconds
	Digits int    `json:"digits"`
}

// minStep is the shortest time step that Kanidm takes, in seconds.
const minStep = 30

// Name implements keyfile.Codec.
func (Codec) Name() string { return "kanidm" }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder {
	return &keyfile.RowEncoder{Codec: c, W: w, Append: appendLine}
}

func appendLine(dst []byte, rec keyfile.Record) []byte {
	return jsonline.Append(dst, entry{rec.Owner, []totp{{tokenname.Of(rec), base64.StdEncoding.EncodeToString(rec.Key.Reveal()),
		rec.Hash, int64(rec.Period / time.Second), rec.Digits}}})
}

// Carried implements keyfile.Codec.
func (Codec) Carried(rec keyfile.Record) keyfile.Record {
	out := rec.Code()
	out.Owner = rec.Owner
	tokenname.Set(&out, tokenname.Of(rec))
	return out
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "the file has one name for a token; a reader takes it for a label",
	"label":  "the token is called by its serial",
}

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss {
	if rec.Kind != token.TOTP {
		return []keyfile.Loss{keyfile.Fatal("kind", "Kanidm knows TOTP only: program a TOTP credential, or register the key there with WebAuthn")}
	}
	out := keyfile.LossTOTP(rec)
	if rec.Period < minStep*time.Second {
		out = append(out, keyfile.Fatal("period", "Kanidm takes 30 seconds or more"))
	}
	if tokenname.Of(rec) == "" {
		out = append(out, keyfile.Fatal("serial", "unknown, and the token has no label either: nothing would tell a person's tokens apart"))
	}
	if rec.Owner == "" {
		out = append(out, keyfile.Fatal("owner", "nobody has the token, and it goes into a person's entry: issue it first"))
	}
	return append(out, keyfile.Notes(rec, c.Carried(rec), notes)...)
}

// Decode implements keyfile.Codec. A line of several tokens is a bad row.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] {
	return keyfile.DecodeLines(c.Name(), r, parse)
}

func parse(row *keyfile.Row) (keyfile.Record, bool) {
	var e entry
	if cause := jsonline.Parse(row.Text, &e); cause != "" {
		row.Bad(0, "line", cause)
	} else if len(e.TOTP) != 1 {
		row.Bad(0, "totp_import", "not one token")
	}
	if !row.Ok() {
		return keyfile.Record{}, false
	}
	t := e.TOTP[0]
	rec := keyfile.Record{Kind: token.TOTP, Hash: t.Hash, Digits: t.Digits, Period: time.Duration(t.Step) * time.Second, Owner: e.Name}
	if cause := keyfile.BadText(e.Name); cause != "" || e.Name == "" {
		row.Bad(0, "name", "not a name")
	}
	if cause := keyfile.BadText(t.Label); cause != "" || t.Label == "" {
		row.Bad(0, "external_id", "not a name")
	}
	if !slices.Contains(keyfile.Hashes(), t.Hash) {
		row.Bad(0, "algo", "not one of the three names that Kanidm has")
	}
	if t.Step < minStep || t.Step > int64(keyfile.MaxPeriod/time.Second) {
		row.Bad(0, "step", "not a number of seconds from 30 to a day")
	}
	if t.Digits != 6 && t.Digits != 8 {
		row.Bad(0, "digits", "neither 6 nor 8")
	}
	tokenname.Set(&rec, t.Label)
	seed, err := base64.StdEncoding.Strict().DecodeString(t.Secret)
	if err != nil || len(seed) < keyfile.MinSeedSize || len(seed) > keyfile.MaxSeedSize {
		row.Bad(0, "secret", "not base64 of a seed")
	}
	rec.Key = secret.New(seed)
	return rec, true
}

// Detect implements keyfile.Codec: by the members of the first line.
func (Codec) Detect(head []byte) int {
	line, _, _ := bytes.Cut(keyfile.TrimBOM(head), []byte("\n"))
	if e := (entry{}); jsonline.Parse(line, &e) == "" && e.TOTP != nil {
		return 90
	}
	return 0
}
