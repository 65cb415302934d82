package sqlstore

import (
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// TestImportTellsOtherSettings: a key that is here is known, and what would make other codes of it is told.
func TestImportTellsOtherSettings(t *testing.T) {
	t.Parallel()
	s, _ := makeStore(t)
	if got, err := s.Import(t.Context(), "a", []keyfile.Record{sample.Carol()}); err != nil || got[0].Outcome != desk.New {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, tc := range []struct {
		name   string
		change func(*keyfile.Record)
		told   string
	}{
		{"the same", func(*keyfile.Record) {}, ""},
		{"digits", func(r *keyfile.Record) { r.Digits = 8 }, "another digits:"},
		{"hash, without a name", func(r *keyfile.Record) { r.Hash, r.Label = "sha256", "" }, "another hash:"},
		{"period and hash", func(r *keyfile.Record) { r.Hash, r.Period = "sha256", time.Minute }, "another hash, period:"},
	} {
		r := sample.With(sample.Carol(), tc.change)
		for name, take := range map[string]func() ([]desk.Imported, error){
			"preview": func() ([]desk.Imported, error) { return s.Preview(t.Context(), []keyfile.Record{r}) },
			"import":  func() ([]desk.Imported, error) { return s.Import(t.Context(), "b", []keyfile.Record{r}) },
		} {
			got, err := take()
			if err != nil || got[0].Outcome != desk.Known || !strings.Contains(got[0].Note, tc.told) || (tc.told == "") != (got[0].Note == "") {
				t.Errorf("%s, %s: %+v, %v", tc.name, name, got, err)
			}
		}
	}
}
