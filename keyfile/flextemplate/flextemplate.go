// Package flextemplate writes a file by a template with the placeholder names of the YubiKey Personalization Tool's flexible
// log, for servers that have no format of their own here:
//
//	YUBIAES{serial}_{configSlot},{secretKeyTxt},yubikey,{tokenLength}
//
// It takes what that tool programmed: Yubico OTP and OATH-HOTP credentials. A file is read again, for our own check, by the
// same template: between two placeholders must stand something that can be part of neither. Access codes are never written:
// their placeholders give what the tool gives for a key without one. Source: reference key-files.md §7.3.
package flextemplate

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is one template at work. Its zero value refuses every record; use Parse.
type Codec struct {
	table tablecsv.Codec
	trap  bool // an AES row for privacyIDEA without length
	oath  bool // names OATH-HOTP rows
}

var _ keyfile.Codec = Codec{}

const name = "template"

// ErrTemplate is a text that is no template.
var ErrTemplate = errors.New("not a template")

// maxTemplate is the longest template, in bytes: rows stay below keyfile.MaxLine.
const maxTemplate = 1024

// Parse makes a codec of a template. A row ends with it, whether {endl} stands at its end or not.
func Parse(template string) (Codec, error) {
	template = strings.TrimSuffix(template, "{endl}")
	if len(template) > maxTemplate {
		return Codec{}, fmt.Errorf("%w: longer than %d bytes", ErrTemplate, maxTemplate)
	}
	if !utf8.ValidString(template) || strings.ContainsFunc(template, func(c rune) bool { return unicode.IsControl(c) && c != '\t' }) {
		return Codec{}, fmt.Errorf("%w: it holds control characters or is not UTF-8", ErrTemplate)
	}
	cells, names, err := cut(template)
	if err != nil {
		return Codec{}, err
	}
	c := Codec{
		oath: slices.Contains(names, "eventType"),
		trap: strings.Contains(template, ",yubikey") && !slices.Contains(names, "tokenLength"),
	}
	key, event := slices.Index(names, "secretKeyTxt"), slices.Index(names, "eventType")
	if key < 0 {
		key = slices.Index(names, "secretKeyB64")
	}
	row := func(kind token.Kind) tablecsv.Row {
		return tablecsv.Row{Kind: kind, Cells: cells, Is: func(values [][]byte) bool { return kind == kindOf(values, event, key) }}
	}
	c.table.Format = tablecsv.Format{Name: name, Title: "by a template", Digits: 6, Notes: notes, Limits: c.limits,
		Rows:    []tablecsv.Row{row(token.YubicoOTP), row(token.HOTP)},
		Instead: "use another template or another format"}
	return c, nil
}

// kindOf tells a row's kind by its event type, else by its key.
func kindOf(values [][]byte, event, key int) token.Kind {
	if event >= 0 {
		if string(values[event]) == eventHOTP {
			return token.HOTP
		}
		return token.YubicoOTP
	}
	if key >= 0 && (len(values[key]) == 2*hotpSeed || len(values[key]) == base64Seed) {
		return token.HOTP
	}
	return token.YubicoOTP
}

// hotpSeed is the length of an HOTP seed in a slot, in bytes, by which a row without event type is told from an AES row;
// base64Seed is its length in base64.
const (
	hotpSeed   = 20
	base64Seed = 28
)

// cut makes cells of a template; names are those of the placeholders, "" for text.
func cut(template string) (cells []tablecsv.Cell, names []string, err error) {
	words := words()
	after := "" // what the value before may consist of
	for rest := template; rest != ""; {
		var text string
		if i := strings.IndexByte(rest, '{'); i != 0 {
			if i < 0 {
				i = len(rest)
			}
			text, rest = rest[:i], rest[i:]
		} else {
			end := strings.IndexByte(rest, '}')
			if end < 0 {
				return nil, nil, fmt.Errorf("%w: { without }", ErrTemplate)
			}
			word := rest[1:end]
			rest = rest[end+1:]
			if word != "tab" {
				if cells, names, after, err = add(words, cells, names, after, word); err != nil {
					return nil, nil, err
				}
				continue
			}
			text = "\t"
		}
		if strings.ContainsRune(after, rune(text[0])) {
			return nil, nil, fmt.Errorf("%w: what stands behind {%s} could be part of it", ErrTemplate, names[len(names)-1])
		}
		cells, names, after = append(cells, tablecsv.Text(text)), append(names, ""), ""
	}
	return cells, names, nil
}

// add appends the cell of a placeholder.
func add(words map[string]word, cells []tablecsv.Cell, names []string, after, name string) ([]tablecsv.Cell, []string, string, error) {
	w, ok := words[name]
	switch {
	case name == "endl":
		return nil, nil, "", fmt.Errorf("%w: {endl} stands at the end only: a row is a line", ErrTemplate)
	case name == "timestampLocal":
		return nil, nil, "", fmt.Errorf("%w: {timestampLocal} looks different on every machine and may hold commas: use {timestampFixed}", ErrTemplate)
	case !ok:
		return nil, nil, "", fmt.Errorf("%w: no placeholder is called {%s}", ErrTemplate, clip(name))
	case after != "":
		return nil, nil, "", fmt.Errorf("%w: {%s} follows another placeholder, and nothing tells where that ends", ErrTemplate, name)
	case w.field && slices.Contains(names, name):
		return nil, nil, "", fmt.Errorf("%w: {%s} stands twice", ErrTemplate, name)
	}
	return append(cells, w.cell), append(names, name), w.alphabet, nil
}

// clip shortens a word for an error.
func clip(s string) string {
	if len(s) > 20 {
		return s[:20] + "…"
	}
	return s
}

// notes is what the loss of a field means here.
var notes = map[string]string{
	"serial": "the template has no {serial}", "slot": "the template has no {configSlot}", "public-id": "the template has no {pubIdTxt}",
	"private-id": "the template has no {pvtIdTxt}", "label": "the template has no {oathIdTxt}, or the label is no OATH token identifier",
	"created": "the template has no {timestampFixed}",
	"owner":   "no placeholder names a person",
}

// lengthTrap is what privacyIDEA makes of its own suggested template. Source: reference key-files.md §7.3.
const lengthTrap = "the template has no {tokenLength}: privacyIDEA then stores 6 as the length of an OTP and refuses every OTP of 44 " +
	"characters; append ,{tokenLength}"

// Warnings says what a server will do with files of this template that nobody wants.
func (c Codec) Warnings() []string {
	if c.trap {
		return []string{lengthTrap}
	}
	return nil
}

// limits refuses rows whose kind would be read wrong.
func (c Codec) limits(rec keyfile.Record) (out []keyfile.Loss) {
	if rec.Kind == token.HOTP && !c.oath && rec.Key.Len() != hotpSeed {
		out = append(out, keyfile.Fatal("key", "an HOTP row is told by its 20-byte seed: add {eventType} to the template"))
	}
	if rec.Kind == token.YubicoOTP && c.trap {
		out = append(out, keyfile.Loss{Field: "public-id", Note: lengthTrap})
	}
	return out
}

// Name implements keyfile.Codec.
func (Codec) Name() string { return name }

// Detect implements keyfile.Codec: a template's file is never detected.
func (Codec) Detect([]byte) int { return 0 }

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record { return c.table.Carried(rec) }

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss { return c.table.Loss(rec) }

// NewEncoder implements keyfile.Codec.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder { return c.table.NewEncoder(w) }

// Decode implements keyfile.Codec. Columns in errors count placeholders and the texts between them.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] { return c.table.Decode(r) }
