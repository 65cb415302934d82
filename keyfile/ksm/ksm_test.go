package ksm

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the file of reference key-files.md §7.5, byte for byte.
const reference = `# ykksm 1
# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]
10200302,cbcdcecfcgch,e175d72cd304,deba785e2f83f2cb8c428744e2e36087,031b554b18a7,2026-03-01T10:00:00,
# the end
`

// validation is the example of reference validation-protocol.md §13.
const validation = `# ykksm 1
# serialnr,identity,internaluid,aeskey,lockpw,created,accessed[,progflags]
1,cccccccccccb,d74fbdf6a890,82211e0854e7369e83d941f24761a84e,881ae7bee927,2009-12-14T16:40:57,
4712,,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,be70aeca62ba,2009-01-22 00:25:11,2009-02-13 00:05:40
`

func second() keyfile.Record {
	return sample.With(sample.Second(), func(r *keyfile.Record) { r.Slot = 0; r.Created = r.Created.Add(-2e9) })
}

func TestEncodeReference(t *testing.T) {
	t.Parallel()
	got, err := sample.Encode(Codec{}, second())
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.Replace(reference, sample.Access2, noAccess, 1); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if empty, err := sample.Encode(Codec{}); err != nil || empty != head+foot {
		t.Errorf("an empty file is %q, %v", empty, err)
	}
}

func TestDecodeReference(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"plain": reference, "CRLF": strings.ReplaceAll(reference, "\n", "\r\n"),
		"BOM": "\xEF\xBB\xBF" + reference, "comment after data": strings.Replace(reference, "10:00:00,", "10:00:00, # note", 1),
		"upper case": strings.ToUpper(strings.ReplaceAll(reference, "#", "##")), "flags": strings.Replace(reference, "10:00:00,", "10:00:00,,7", 1)} {
		sample.AssertRecords(t, Codec{}, name, text, []keyfile.Record{second()})
	}
	recs, errs := sample.Decode(Codec{}, validation)
	if len(errs) > 0 || len(recs) != 2 || recs[1].PublicID.Len() != 0 || recs[1].Created.Unix() != 1232583911 || recs[0].Line != 3 {
		t.Errorf("validation-protocol.md §13: %d records, %v", len(recs), errs)
	}
}

func TestOtherVersionStops(t *testing.T) {
	t.Parallel()
	recs, errs := sample.Decode(Codec{}, strings.Replace(reference, "ykksm 1", "ykksm 2", 1))
	if len(recs) != 0 || len(errs) != 1 || !errors.Is(errs[0], errVersion) {
		t.Errorf("%d records, %v", len(recs), errs)
	}
}

func TestBadRows(t *testing.T) {
	t.Parallel()
	good := strings.Split(reference, "\n")[2]
	for _, tc := range []struct {
		name, row, field string
		column           int
	}{
		{"no last comma", strings.TrimSuffix(good, ","), "row", 6},
		{"nine fields", good + ",1,2", "row", 9},
		{"serial", strings.Replace(good, "10200302", "10200302a", 1), "serial", 1},
		{"public ID", strings.Replace(good, "cbcdcecfcgch", "aaaaaaaaaaaa", 1), "public-id", 2},
		{"private ID", strings.Replace(good, "e175d72cd304", "e175d72cd30", 1), "private-id", 3},
		{"no private ID", strings.Replace(good, "e175d72cd304", "", 1), "private-id", 3},
		{"key", strings.Replace(good, "deba785e", "xeba785e", 1), "key", 4},
		{"AES-192", strings.Replace(good, "deba785e", "deba785e0123456789abcdef", 1), "key", 4},
		{"lock code", strings.Replace(good, "031b554b18a7", "031b554b18a7ff", 1), "access-code", 5},
		{"created", strings.Replace(good, "10:00:00", "10:00:00Z", 1), "created", 6},
		{"accessed", good + "yesterday", "accessed", 7},
		{"flags", good + ",x", "progflags", 8},
	} {
		sample.AssertBadRow(t, Codec{}, tc.name, "# ykksm 1\n"+tc.row+"\n"+reference, 1, tc.field, tc.column)
	}
}

func TestLoss(t *testing.T) {
	t.Parallel()
	id := func(n int) token.PublicID {
		p, err := token.NewPublicID(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		name  string
		rec   keyfile.Record
		field string
		fatal bool
	}{
		{"slot", sample.First(), "slot", false},
		{"access code", sample.Second(), "access-code", false},
		{"owner", sample.With(sample.First(), func(r *keyfile.Record) { r.Owner = "alice" }), "owner", false},
		{"HOTP", sample.Alice(), "kind", true},
		{"no public ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PublicID = id(0) }), "public-id", true},
		{"public ID of 9 bytes", sample.With(sample.First(), func(r *keyfile.Record) { r.PublicID = id(9) }), "public-id", true},
		{"no private ID", sample.With(sample.First(), func(r *keyfile.Record) { r.PrivateID = sample.Hex("") }), "private-id", true},
	} {
		sample.AssertLoss(t, Codec{}, tc.name, tc.rec, tc.field, tc.fatal)
	}
	if _, err := sample.Encode(Codec{}, sample.With(sample.First(), func(r *keyfile.Record) { r.PublicID = id(8) })); err != nil {
		t.Errorf("public ID of 8 bytes: %v", err)
	}
}
