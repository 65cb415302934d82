package yubimap

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

func owned(rec keyfile.Record, owner string) keyfile.Record {
	return sample.With(rec, func(r *keyfile.Record) { r.Owner = owner })
}

func mapped(owner string, ids ...string) (out []keyfile.Record) {
	for _, id := range ids {
		out = append(out, keyfile.Record{Kind: token.YubicoOTP, Owner: owner, PublicID: sample.Modhex(id)})
	}
	return out
}

func TestLaws(t *testing.T) {
	t.Parallel()
	sample.AssertLaws(t, Codec{})
}

func TestEncodeMerges(t *testing.T) {
	t.Parallel()
	alice, too, bob := owned(sample.First(), "alice"), owned(sample.Second(), "alice"), owned(sample.Second(), "bob")
	for _, tc := range []struct {
		name string
		recs []keyfile.Record
		want string
	}{
		{"none", nil, ""},
		{"one", []keyfile.Record{alice}, "alice:vvccccknlfut\n"},
		{"two of one", []keyfile.Record{alice, too}, "alice:vvccccknlfut:cbcdcecfcgch\n"},
		{"two accounts", []keyfile.Record{alice, bob, too}, "alice:vvccccknlfut\nbob:cbcdcecfcgch\nalice:cbcdcecfcgch\n"},
	} {
		got, err := sample.Encode(Codec{}, tc.recs...)
		if err != nil || got != tc.want {
			t.Errorf("%s: %v, got %q", tc.name, err, got)
		}
		if err := keyfile.Check(Codec{}, strings.NewReader(got), keyfile.All(tc.recs)); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

func TestEncodeKeepsLinesShort(t *testing.T) {
	t.Parallel()
	recs := slices.Repeat([]keyfile.Record{owned(sample.First(), "alice")}, 500)
	got, err := sample.Encode(Codec{}, recs...)
	if err != nil {
		t.Fatal(err)
	}
	longest := 0
	for line := range strings.Lines(got) {
		longest = max(longest, len(line))
	}
	if want := len("alice") + 78*13 + 1; longest != want {
		t.Errorf("the longest line has %d bytes, want %d", longest, want)
	}
	if err := keyfile.Check(Codec{}, strings.NewReader(got), keyfile.All(recs)); err != nil {
		t.Error(err)
	}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	const text = "alice:vvccccknlfut:cbcdcecfcgch\nbob:cbcdcecfcgch\n"
	want := append(mapped("alice", "vvccccknlfut", "cbcdcecfcgch"), mapped("bob", "cbcdcecfcgch")...)
	for _, tc := range []struct {
		name, text string
		want       []keyfile.Record
	}{
		{"own", text, want}, {"CRLF", strings.ReplaceAll(text, "\n", "\r\n"), want}, {"BOM", "\xEF\xBB\xBF" + text, want},
		{"comments", "# a:cbcdcecfcgch\n\n" + text, want}, {"no last newline", strings.TrimSpace(text), want},
		{"empty public IDs", strings.ReplaceAll(text, ":", "::"), want}, {"upper case", strings.ReplaceAll(text, "cbcd", "CBCD"), want},
		{"other lengths", "alice:vvcc:vvccccknlfutvvcc\n", mapped("alice", "vvcc", "vvccccknlfutvvcc")},
	} {
		sample.AssertRecords(t, Codec{}, tc.name, tc.text, tc.want)
	}
	for rec := range (Codec{}).Decode(strings.NewReader(text)) { // stopping within a line
		if rec.PublicID.String() == "cbcdcecfcgch" {
			break
		}
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	long := "alice" + strings.Repeat(":cbcdcecfcgch", 79)
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"no public ID", "alice:", "public-id", 2}, {"no colon", "alice", "public-id", 2}, {"no account", ":vvccccknlfut", "owner", 1},
		{"not ModHex", "alice:vvccccknlfua", "public-id", 2}, {"second not ModHex", "alice:vvccccknlfut:12", "public-id", 3}, {"odd", "alice:vvc", "public-id", 2},
		{"17 bytes", "alice:" + strings.Repeat("cb", 17), "public-id", 2},
		{"comma", "alice:vvccccknlfut,cbcdcecfcgch", "line", 0}, {"quotes", "\"alice\":vvccccknlfut", "quotes", 1}, {"blank", "al ice:vvccccknlfut", "owner", 1},
		{"long", long, "line", 0}, {"NUL", "ali\x00ce:vvccccknlfut", "line", 0}, {"Latin-1", "j\xFCrgen:vvccccknlfut", "line", 0},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "bob:cbcdcecfcgch\n"+tc.row+"\nbob:cbcdcecfcgch:vvccccknlfut\n", 3, tc.field, tc.column)
	}
	if recs, errs := sample.Decode(Codec{}, long[:len(long)-13]); len(errs) > 0 || len(recs) != 78 {
		t.Errorf("%d records, %v", len(recs), errs)
	}
	if _, errs := sample.Decode(Codec{}, "\xFF\xFEa\x00"); len(errs) != 1 || !errors.Is(errs[0], keyfile.ErrUTF16) {
		t.Errorf("UTF-16: %v", errs)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	length := func(n int) keyfile.Record {
		return sample.With(owned(sample.First(), "ada"), func(r *keyfile.Record) { r.PublicID, _ = token.NewPublicID(make([]byte, n)) })
	}
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"no owner", sample.First(), "owner", true}, {"colon", owned(sample.First(), "a:b"), "owner", true}, {"blank", owned(sample.First(), "a b"), "owner", true},
		{"comment", owned(sample.First(), "#a"), "owner", true}, {"new line", owned(sample.First(), "a\nb"), "owner", true}, {"comma", owned(sample.First(), "a,b"), "owner", true},
		{"HOTP", sample.Alice(), "kind", true}, {"2 bytes", length(2), "public-id", true}, {"8 bytes", length(8), "public-id", true}, {"none", length(0), "public-id", true},
		{"key", owned(sample.First(), "ada"), "key", false}, {"private ID", owned(sample.First(), "ada"), "private-id", false},
		{"access code", owned(sample.Second(), "ada"), "access-code", false}, {"slot", owned(sample.First(), "ada"), "slot", false},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
}

// A refused record leaves the line of the one before it open.
func TestRefusalBetween(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	e := Codec{}.NewEncoder(&b)
	for _, r := range []keyfile.Record{owned(sample.First(), "ada"), sample.Alice(), owned(sample.Second(), "ada")} {
		if err := e.Encode(r); (err != nil) != (r.Kind == token.HOTP) {
			t.Error(err)
		}
	}
	if err := e.Close(); err != nil || b.String() != "ada:vvccccknlfut:cbcdcecfcgch\n" {
		t.Errorf("%v, got %q", err, b.String())
	}
}

func TestDetect(t *testing.T) {
	t.Parallel()
	sample.AssertDetects(t, Codec{}, map[string]int{
		"alice:vvccccknlfut\n": 80, "\xEF\xBB\xBF# x\r\n\r\nalice:vvccccknlfut:cb\r\n": 80,
		"": 0, "alice:\n": 0, "root:x:0:0:root:/root:/bin/sh\n": 0, "alice:vvcc\n": 0, "a b:vvccccknlfut\n": 0, "vvccccknlfut\n": 0,
	})
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Codec{}, []string{"alice:vvccccknlfut:cbcdcecfcgch\nbob:cbcdcecfcgch\n", "a::cbcdcecfcgch:\r\n", "a:CBCDCECFCGCH", "a:cb\na:cbcdcecfcgch", "::", "\xEF\xBB\xBF#", "\xFF\xFE", "a:b,c"})
}
