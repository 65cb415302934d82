package appbackup

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// golden is the document of reference key-files.md §8.7 with carol and bob in it.
const golden = `{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[
{"type":"totp","name":"carol@example.org","issuer":"Campus Login","note":"","favorite":false,"icon":null,"info":{"secret":"CJHXTKA5C7KP6I24HYMDTYQTCJIBXOLI","algo":"SHA1","digits":6,"period":30},"groups":[]},
{"type":"hotp","name":"bob@example.org","issuer":"Campus Login","note":"","favorite":false,"icon":null,"info":{"secret":"BZU5GRA6GBGAC4TOFIYUIVCX3RL5BMMO","algo":"SHA1","digits":8,"counter":42},"groups":[]}
],"groups":[]}}
`

func TestAegisGolden(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Aegis{}, accounts()[:2]...)
	if err != nil || got != golden {
		t.Errorf("%v, got\n%s", err, got)
	}
	sample.AssertRecords(t, Aegis{}, "own", golden, accounts()[:2])
	empty, err := sample.Encode(Aegis{})
	if recs, errs := sample.Decode(Aegis{}, empty); err != nil || len(recs)+len(errs) > 0 {
		t.Errorf("empty: %v, %v in\n%s", err, errs, empty)
	}
}

func TestAegisLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Aegis{})
}

func TestAegisLoss(t *testing.T) {
	t.Parallel()
	change := func(f func(*keyfile.Record)) keyfile.Record { return sample.With(accounts()[0], f) }
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"Yubico OTP", sample.First(), "kind", true},
		{"label", sample.Dave(), "label", false},
		{"no issuer", sample.Dave(), "issuer", false},
		{"nobody's", change(func(r *keyfile.Record) { r.Owner = "" }), "owner", true},
		{"control", change(func(r *keyfile.Record) { r.Issuer = "a\x00" }), "issuer", true},
		{"no hash", change(func(r *keyfile.Record) { r.Hash = "md5" }), "hash", true},
	} {
		sample.AssertLoss(t, Aegis{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	odd := change(func(r *keyfile.Record) { r.Issuer, r.Owner = `<a&"b\:>`, "a:b" })
	text, err := sample.Encode(Aegis{}, odd)
	if err != nil {
		t.Fatal(err)
	}
	sample.AssertRecords(t, Aegis{}, "odd names", text, []keyfile.Record{odd})
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	for _, p := range plain {
		sample.AssertHostile(t, p.reader, string(load(t, p.file)))
	}
}

// FuzzDecode reads every format: an error stands beside a zero record, what Aegis does not refuse comes back from its vault.
// Nobody answers, so that no key is derived.
func FuzzDecode(f *testing.F) {
	for _, p := range plain {
		f.Add(load(f, p.file))
	}
	for _, e := range encrypted {
		f.Add(load(f, e.file))
	}
	f.Add([]byte(golden))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, p := range plain {
			sample.AssertFile(t, p.reader, string(file), checkRecord)
		}
	})
}

func checkRecord(t *testing.T, rec keyfile.Record) {
	text, err := sample.Encode(Aegis{}, rec)
	if rec.Line < 1 || err != nil && rec.Owner != "" {
		t.Errorf("line %d, %v", rec.Line, err)
	}
	if err != nil {
		return
	}
	if err := keyfile.Check(Aegis{}, strings.NewReader(text), keyfile.All([]keyfile.Record{rec})); err != nil {
		t.Errorf("%v in\n%s", err, text)
	}
}
