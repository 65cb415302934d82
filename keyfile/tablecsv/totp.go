package tablecsv

import (
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// LossTOTP lists what keeps a TOTP credential from a server that takes 6 or 8 digits: seeds that readers take for damage,
// steps longer than a day, and names that cannot stand in a document. Source: reference key-files.md §8.5, §8.8.
func LossTOTP(rec keyfile.Record) []keyfile.Loss {
	out := keyfile.Unsound(rec, token.TOTP)
	if rec.Digits == 7 {
		out = append(out, keyfile.Fatal("digits", "the server takes 6 or 8"))
	}
	if field, cause := shortSeed(rec); cause != "" {
		out = append(out, keyfile.Fatal(field, cause))
	}
	if rec.Period > maxPeriod*time.Second {
		out = append(out, keyfile.Fatal("period", "longer than a day"))
	}
	for _, f := range []struct{ field, text string }{{"owner", rec.Owner}, {"issuer", rec.Issuer}, {"label", rec.Label}} {
		if cause := keyfile.BadText(f.text); cause != "" {
			out = append(out, keyfile.Fatal(f.field, "cannot stand in the file: "+cause))
		}
	}
	return out
}
