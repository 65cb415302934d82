package sample

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
)

// randomRecords is how many random records a law is tried with.
const randomRecords = 300

// AssertLaws fails the test where c breaks a law of keyfile.Codec, on the samples and on random records: what Encode
// wrote, Decode gives back as Carried said; Loss names every field in which Carried differs; a record that Loss calls
// fatal is not written; no access code is in a file. A codec that refuses everything breaks them too.
func AssertLaws(t *testing.T, c keyfile.Codec) {
	t.Helper()
	recs := All()
	r := rand.New(rand.NewPCG(1, 2))
	for range randomRecords {
		recs = append(recs, Random(r))
	}
	taken := Taken(c, recs)
	if len(taken) < 2 {
		t.Fatalf("%s takes %d of %d records", c.Name(), len(taken), len(recs))
	}
	for _, rec := range recs {
		assertLossTold(t, c, rec)
	}
	for _, rec := range taken { // each in a file of its own: some formats hold one record a person
		text, err := Encode(c, rec)
		if err != nil {
			t.Errorf("%s: %s: %v", c.Name(), rec.Name(), err)
			continue
		}
		if err := keyfile.Check(c, strings.NewReader(text), keyfile.All([]keyfile.Record{rec})); err != nil {
			t.Errorf("%s: %+v: %v", c.Name(), rec, err)
		}
		if code := fmt.Sprintf("%x", rec.AccessCode.Reveal()); code != "" && strings.Contains(strings.ToLower(text), code) {
			t.Errorf("%s: an access code is in the file", c.Name())
		}
	}
}

// assertLossTold is the second law for one record.
func assertLossTold(t *testing.T, c keyfile.Codec, rec keyfile.Record) {
	t.Helper()
	noted := map[string]bool{}
	for _, l := range c.Loss(rec) {
		noted[l.Field] = true
		if l.Fatal {
			return // it is not written, so nothing is lost
		}
	}
	for _, field := range keyfile.Differences(rec, c.Carried(rec)) {
		if !noted[field] {
			t.Errorf("%s loses %s of %s in silence", c.Name(), field, rec.Name())
		}
	}
}

// Taken are the records that c does not refuse.
func Taken(c keyfile.Codec, recs []keyfile.Record) (out []keyfile.Record) {
	for _, rec := range recs {
		if keyfile.Refused(c.Name(), rec, c.Loss(rec)) == nil {
			out = append(out, rec)
		}
	}
	return out
}

// Random is a sound record of any of the kinds that files hold: awkward names, every length of seed, absent fields.
func Random(r *rand.Rand) keyfile.Record {
	owners := []string{"", "ada", "ada.lovelace@example.org", "Ada Lovelace", "jürgen", "o'brien", "a:b", "a/b", "100%", "a+b", "a&b=c", "名前"}
	issuers := []string{"", "Campus Login", "Example:Org", "Ünï", "a&b"}
	rec := keyfile.Record{Owner: pick(r, owners), Created: time.Unix(r.Int64N(4e9), 0).UTC()}
	if r.IntN(3) == 0 {
		return randomYubico(r, rec)
	}
	rec.Kind, rec.Hash, rec.Digits, rec.Issuer = token.HOTP, pick(r, keyfile.Hashes()), 6+r.IntN(3), pick(r, issuers)
	if r.IntN(4) == 0 {
		rec.Account = pick(r, owners)
	}
	rec.Label = fmt.Sprintf("%s%08d", pick(r, []string{"UBOM", "TOTP", "26", ""}), r.IntN(1e8))
	rec.Key = randomBytes(r, pick(r, []int{10, 16, 20, 20, 20, 32, 32, 64, 1 + r.IntN(keyfile.MaxSeedSize)}))
	if r.IntN(2) == 0 {
		rec.Kind, rec.Period = token.TOTP, time.Duration(pick(r, []int{30, 30, 60, 15, 3600}))*time.Second
		return rec
	}
	rec.Counter = pick(r, []int64{0, 0, 1, 42, 1 << 40})
	return rec
}

func randomYubico(r *rand.Rand, rec keyfile.Record) keyfile.Record {
	id := make([]byte, pick(r, []int{6, 6, 6, 8, 2, 16}))
	for i := range id {
		id[i] = byte(r.Uint32())
	}
	rec.Kind, rec.Serial, rec.Slot = token.YubicoOTP, token.Serial(r.Uint32()>>uint(r.IntN(31))), token.Slot(r.IntN(3))
	rec.PublicID, _ = token.NewPublicID(id)
	rec.Key, rec.PrivateID = randomBytes(r, keyfile.KeySize), randomBytes(r, keyfile.PrivateIDSize)
	if r.IntN(2) == 0 {
		rec.AccessCode = randomBytes(r, keyfile.AccessCodeSize)
	}
	return rec
}

func randomBytes(r *rand.Rand, n int) secret.Bytes {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return secret.New(b)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }
