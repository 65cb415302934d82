// Package nextcloud is the CSV of Nextcloud's app twofactor_oath, which an administrator pastes into its page:
//
//	username,status,type,algorithm,digits,period,counter,challenge,suite,secret
//	dave,none,totp,sha256,6,30,0,8,,T6EBGKM2L56HAHNHEGJKLOTB4R3ZWKIV3QLQRSGZ3VAN6U7HST4Q
//
// It is the one way of a token with a given seed into Nextcloud: Nextcloud's own TOTP app imports nothing. There are no
// quotes; challenge and suite are for OCRA; only rows with the status none or renew are applied, and rows of unknown persons
// are passed over. Source: reference key-files.md §8.4, §0 fact 8.
package nextcloud

import (
	"io"
	"iter"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/tablecsv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Codec is the format.
type Codec struct {
	// Renew gives every row the status renew, for persons who have a token there, which stops working. Otherwise it is none,
	// for persons without a token.
	Renew bool
}

var _ keyfile.Codec = Codec{}

const header = "username,status,type,algorithm,digits,period,counter,challenge,suite,secret"

// minSeed is the shortest seed that the app takes, in bytes.
const minSeed = 16

// maxCounter is the largest whole number that the app's page, which is JavaScript, keeps exactly.
const maxCounter = 1<<53 - 1

func (c Codec) table() tablecsv.Codec {
	status := "none"
	if c.Renew {
		status = "renew"
	}
	lower := func(s string) string { return s }
	row := func(kind token.Kind, period, counter tablecsv.Cell) tablecsv.Row {
		return tablecsv.Row{Kind: kind, Cells: []tablecsv.Cell{tablecsv.Owner(","), tablecsv.Fill(status), tablecsv.Text(string(kind)),
			tablecsv.Hash(lower), tablecsv.Digits(), period, counter, tablecsv.Fill("8"), tablecsv.Fill(""), tablecsv.Base32()}}
	}
	return tablecsv.Codec{Format: tablecsv.Format{
		Name: c.Name(), Title: "Nextcloud, app twofactor_oath", Sep: ",", Header: header, Once: true,
		Rows: []tablecsv.Row{
			row(token.TOTP, tablecsv.Period(), tablecsv.Fill("0")),
			row(token.HOTP, tablecsv.Fill("30"), tablecsv.Counter()),
		},
		Notes: map[string]string{
			"serial": "the app shows no serial: a person has one token there", "label": "the app shows no serial: a person has one token there",
		},
		Limits:  limits,
		Instead: "use OATH HOTP in a slot or TOTP on the key; Nextcloud knows no Yubico OTPs",
	}}
}

func limits(rec keyfile.Record) (out []keyfile.Loss) {
	if rec.Key.Len() < minSeed {
		out = append(out, keyfile.Fatal("key", "shorter than the 16 bytes that the app takes"))
	}
	if rec.Counter > maxCounter {
		out = append(out, keyfile.Fatal("counter", "larger than the app's page can count"))
	}
	return out
}

// Name implements keyfile.Codec.
func (Codec) Name() string { return "nextcloud" }

// Carried implements keyfile.Codec.
func (c Codec) Carried(rec keyfile.Record) keyfile.Record { return c.table().Carried(rec) }

// Loss implements keyfile.Codec.
func (c Codec) Loss(rec keyfile.Record) []keyfile.Loss { return c.table().Loss(rec) }

// NewEncoder implements keyfile.Codec. A second token of one person is refused: the app would keep the last row.
func (c Codec) NewEncoder(w io.Writer) keyfile.Encoder { return c.table().NewEncoder(w) }

// Decode implements keyfile.Codec. It reads the app's export too, where rows without secret and OCRA rows are bad rows.
func (c Codec) Decode(r io.Reader) iter.Seq2[keyfile.Record, error] { return c.table().Decode(r) }

// Detect implements keyfile.Codec: by the header.
func (c Codec) Detect(head []byte) int { return c.table().Detect(head) }
