package codecs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/ksm"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
)

// seeds are the files in testdata/seeds whose names begin with the format's, and what the encoder makes of the samples. No
// file is a failure: a fuzzer without seeds finds nothing.
func seeds(tb testing.TB, c keyfile.Codec) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "seeds", c.Name()+"*"))
	if err != nil || len(files) == 0 {
		tb.Fatalf("%s: no seeds: %v", c.Name(), err)
	}
	var out []string
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, string(b))
	}
	for _, r := range encodable(c) {
		text, err := sample.Encode(c, r)
		if err != nil {
			tb.Fatal(err)
		}
		out = append(out, text)
	}
	return out
}

// fuzzed are the formats that are fuzzed here; the others are in their own packages.
func fuzzed() []keyfile.Codec {
	return []keyfile.Codec{yubicocsv.Codec{}, oathcsv.Codec{Realm: "campus"}, ksm.Codec{}, pskc.Codec{}}
}

// A seed that gives no record and no error teaches the fuzzer nothing.
func TestSeedsAreRead(t *testing.T) {
	t.Parallel()
	for _, c := range fuzzed() {
		for i, text := range seeds(t, c) {
			if recs, errs := sample.Decode(c, text); len(recs)+len(errs) == 0 {
				t.Errorf("%s: seed %d is empty", c.Name(), i)
			}
		}
	}
}

func fuzz(f *testing.F, c keyfile.Codec) { sample.Fuzz(f, c, seeds(f, c)) }

func FuzzYubicoCSV(f *testing.F) { fuzz(f, yubicocsv.Codec{}) }
func FuzzOATHCSV(f *testing.F)   { fuzz(f, oathcsv.Codec{Realm: "campus"}) }
func FuzzKSM(f *testing.F)       { fuzz(f, ksm.Codec{}) }
func FuzzPSKC(f *testing.F)      { fuzz(f, pskc.Codec{}) }
