// Package tablecsv writes, and reads for our own check, the tables of bare serials and keys that many servers take:
//
//	TOTP00900003,124f79a81d17d4ff235c3e1839e21312501bb968,30
//
// One engine, and a Format as data for each server: which cells a row has, what they hold, and what every row means without
// saying so (digits, time step, hash). What a row cannot say and the server would guess wrong is refused. The readers of
// these servers are closed: the tables are written from their documents and were not tried there.
// Source: reference key-files.md §8.9.
//
// A first character of = + - @ in a name is a formula to a spreadsheet and is refused (§10); there are no quotes.
package tablecsv

import (
	"net/url"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// Formats lists the tables, in the order in which they are shown.
func Formats() []Codec {
	var out []Codec
	for _, f := range formats() {
		out = append(out, Codec{f})
	}
	return out
}

// usePSKC is what to use for a token that a table cannot say.
const usePSKC = "use pskc, or a table of this server for another type of token"

// comma is the separator of most tables.
const comma = ","

func formats() []Format {
	return []Format{
		{Name: "duo-yubikey", Title: "Duo, token type YubiKey (AES)", Sep: comma, Instead: "use duo-hotp-6, duo-hotp-8, duo-totp-6 or duo-totp-8",
			Rows: []Row{{Kind: token.YubicoOTP, Cells: []Cell{Serial(), PrivateID(), Hex()}}}},
		duo("duo-hotp-6", token.HOTP, 6), duo("duo-hotp-8", token.HOTP, 8), duo("duo-totp-6", token.TOTP, 6), duo("duo-totp-8", token.TOTP, 8),
		{Name: "pingid-hotp", Title: "PingID, token type HOTP", Sep: comma, Digits: 6, Instead: usePSKC,
			Rows: []Row{{Kind: token.HOTP, Cells: []Cell{Name(comma), Hex(), Counter()}}}},
		pingTOTP("pingid-totp-30", 30*time.Second), pingTOTP("pingid-totp-60", time.Minute),
		{Name: "phenixid", Title: "PhenixID", Sep: ";", Digits: 6, Instead: usePSKC, Rows: []Row{
			{Kind: token.HOTP, Cells: []Cell{Text("HOTP"), Name(";"), Hex(), Counter()}},
			{Kind: token.TOTP, Cells: []Cell{Text("TOTP"), Name(";"), Hash(strings.ToUpper), Hex(), Text("0"), Period(), Digits()}}}},
		{Name: "secureauth", Title: "SecureAuth, user CSV", Header: "username,Hotptoken,Totptoken", Digits: 6, Period: 30 * time.Second,
			Once: true, Instead: usePSKC, Rows: []Row{
				{Kind: token.HOTP, Cells: []Cell{Owner(",|"), Text(","), Name(",|"), Text("|"), Hex(), Text("|"), Counter(), Text(",")}},
				{Kind: token.TOTP, Cells: []Cell{Owner(",|"), Text(",,"), Hex(), Text("|"), Name(",|")}}}},
		{Name: "netiq", Title: "NetIQ Advanced Authentication, OATH csv", Sep: comma, Instead: usePSKC, Rows: []Row{
			{Kind: token.HOTP, Cells: []Cell{Name(comma), Hex(), Text("hotp"), Digits()}},
			{Kind: token.TOTP, Cells: []Cell{Name(comma), Hex(), Text("totp"), Digits(), Period()}}}},
		{Name: "centrify", Title: "Centrify, Delinea", Sep: comma, Digits: 6, Period: 30 * time.Second, Once: true, Instead: usePSKC,
			Header: "User Principle Name,Token Identifier,Secret Key (HEX),Account Name,Issuer",
			Rows:   []Row{{Kind: token.TOTP, Cells: []Cell{Owner(comma), Name(comma), Hex(), again(), issuer()}}}},
		{Name: "rapididentity", Title: "RapidIdentity MFA, token type TOTP", Sep: comma, Digits: 6, Period: 30 * time.Second, Instead: usePSKC,
			Rows: []Row{{Kind: token.TOTP, Cells: []Cell{Name(comma), Hex()}}}},
		{Name: "isam-esso", Title: "IBM Security Access Manager for Enterprise Single Sign-On", Sep: comma, Digits: 6, Instead: usePSKC,
			Rows: []Row{{Kind: token.HOTP, Cells: []Cell{Name(comma), Hex()}}}},
		{Name: "securenvoy-hotp", Title: "SecurEnvoy, HOTP with 6 digits", Sep: comma, Digits: 6, Instead: usePSKC,
			Rows: []Row{{Kind: token.HOTP, Cells: []Cell{Name(comma), Base32()}}}},
		{Name: "securenvoy-totp", Title: "SecurEnvoy, TOTP with 6 digits and 30 s", Sep: comma, Digits: 6, Period: 30 * time.Second, Instead: usePSKC,
			Rows: []Row{{Kind: token.TOTP, Cells: []Cell{Name(comma), Base32()}}}},
	}
}

// duo is serial and key, then the moving factor or the time step; the number of digits is the token type's.
func duo(name string, kind token.Kind, digits int) Format {
	last := Counter()
	if kind == token.TOTP {
		last = Period()
	}
	title := "Duo, token type " + strings.ToUpper(string(kind)) + ", " + map[int]string{6: "6", 8: "8"}[digits] + " digits"
	return Format{Name: name, Title: title, Sep: comma, Digits: digits, Instead: "use Duo's table for another token type (sha1 only)",
		Rows: []Row{{Kind: kind, Cells: []Cell{Name(comma), Hex(), last}}}}
}

func pingTOTP(name string, period time.Duration) Format {
	return Format{Name: name, Title: "PingID, token type TOTP, refresh interval " + period.String(), Sep: comma, Digits: 6, Period: period,
		Instead: usePSKC, Rows: []Row{{Kind: token.TOTP, Cells: []Cell{Name(comma), Hex()}}}}
}

// again is the account once more, of which the reader takes no notice.
func again() Cell {
	return Cell{put: func(dst []byte, rec keyfile.Record) []byte { return append(dst, rec.Owner...) }}
}

// issuer is the issuer in percent-encoding, every byte but letters, digits, - . _ ~. Source: Centrify's document as cited in
// reference key-files.md §8.9.
func issuer() Cell {
	return Field(
		func(dst []byte, rec keyfile.Record) []byte {
			return append(dst, strings.ReplaceAll(url.QueryEscape(rec.Issuer), "+", "%20")...)
		},
		func(row *keyfile.Row, column int, rec *keyfile.Record) {
			text, err := url.PathUnescape(row.Public(column))
			if err != nil {
				row.Bad(column, "issuer", "not percent-encoded")
			} else if cause := keyfile.BadText(text); cause != "" {
				row.Bad(column, "issuer", cause)
			}
			rec.Issuer = text
		},
		func(out *keyfile.Record, rec keyfile.Record) { out.Issuer = rec.Issuer }).
		Refusing(func(rec keyfile.Record) (string, string) {
			if strings.HasPrefix(rec.Issuer, "-") { // the one first character of a formula that percent-encoding leaves
				return "issuer", "a spreadsheet would take it for a formula"
			}
			return "issuer", keyfile.BadText(rec.Issuer)
		})
}
