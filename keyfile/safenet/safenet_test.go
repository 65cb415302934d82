package safenet

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/xmlwalk"
	"github.com/tokendesk/tokendesk/provision/token"
)

// reference is the file of reference key-files.md §4.7 and a token of a SafeWord Alpine with more elements.
const reference = `<Tokens><Token serial="UBOM00900002"><ProductName>eTPass 6.10</ProductName><Applications><Application>
<Seed>0e69d3441e304c01726e2a31445457dc57d0b18e</Seed><MovingFactor>42</MovingFactor></Application></Applications></Token>
<Token serial="00040008CFA5">
  <CaseModel>5</CaseModel><Model>101</Model><ProductionDate>02/19/2009</ProductionDate><ProductName>Safeword Alpine</ProductName>
  <Applications><Application ConnectorID="{ab1397d2-ddb6-4705-b66e-9f83f322deb9}"><Seed> ` + sample.SeedDave + ` </Seed></Application></Applications>
</Token></Tokens>
`

func want() []keyfile.Record {
	bob := sample.With(sample.Bob(), func(r *keyfile.Record) { r.Owner, r.Digits = "", 6 })
	return []keyfile.Record{bob, {Kind: token.HOTP, Label: "00040008CFA5", Key: sample.Hex(sample.SeedDave), Digits: 6, Hash: "sha256"}}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"reference": reference, "BOM": "\xEF\xBB\xBF" + reference, "CRLF": strings.ReplaceAll(reference, "\n", "\r\n"), "declaration": `<?xml version="1.0" encoding="utf-8"?><!-- a -->` + reference,
		"namespace": strings.Replace(reference, "<Tokens>", `<Tokens xmlns="urn:x">`, 1), "other elements": strings.Replace(reference, "<Tokens>", "<Tokens><Batch><Token/></Batch>", 1),
	} {
		sample.AssertRecords(t, Reader{}, name, text, want())
		if n := (Reader{}).Detect([]byte(text)); n != 95 {
			t.Errorf("%s: Detect says %d", name, n)
		}
	}
	for _, other := range []string{"", "<data/>", "<html>", "Tokens", "<Token serial='1'/>"} {
		if n := (Reader{}).Detect([]byte(other)); n != 0 {
			t.Errorf("%s: Detect says %d", other, n)
		}
	}
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, old, new, field string }{
		{"no serial", `serial="UBOM00900002"`, "", "serial"},
		{"tab in the serial", "UBOM", "UB&#9;OM", "serial"},
		{"odd", "0e69d344", "0e69d34", "key"},
		{"no hexadecimal", "0e69d344", "0e69d34g", "key"},
		{"no seed", "<Seed>0e69d3441e304c01726e2a31445457dc57d0b18e</Seed>", "", "key"},
		{"two seeds", "<Seed>", "<Seed>00</Seed><Seed>", "key"},
		{"empty seed", "0e69d3441e304c01726e2a31445457dc57d0b18e", "", "key"},
		{"long seed", "0e69d344", strings.Repeat("0e69d344", 32), "key"},
		{"counter", ">42<", ">-42<", "counter"},
		{"two counters", "<MovingFactor>", "<MovingFactor>1</MovingFactor><MovingFactor>", "key"},
	} {
		text := strings.Replace(reference, tc.old, tc.new, 1)
		recs, errs := sample.Decode(Reader{}, text)
		var bad *keyfile.RowError
		if text == reference || len(recs) != 1 || len(errs) != 1 || !errors.As(errs[0], &bad) || bad.Field != tc.field || bad.Line != 1 {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
			continue
		}
		if echo := sample.Echo(bad, text); echo != "" {
			t.Errorf("%s: %q repeats %q", tc.name, bad, echo)
		}
	}
}

func TestStops(t *testing.T) {
	t.Parallel()
	bomb := `<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>`
	for _, tc := range []struct {
		name, text string
		want       error
		good       int
	}{
		{"empty", "", xmlwalk.ErrSyntax, 0}, {"other root", "<data></data>", ErrRoot, 0}, {"text", "UBOM00900002 0e69d344", xmlwalk.ErrSyntax, 0},
		{"bomb", bomb + reference, xmlwalk.ErrDTD, 0}, {"entity", strings.Replace(reference, "UBOM", "&a;", 1), xmlwalk.ErrSyntax, 0},
		{"cut in a token", reference[:150], xmlwalk.ErrSyntax, 0}, {"cut between tokens", reference[:strings.Index(reference, "<Token serial=\"0004")], xmlwalk.ErrSyntax, 1},
		{"UTF-16", "\xFF\xFE<\x00", keyfile.ErrUTF16, 0}, {"OpenPGP", "-----BEGIN PGP MESSAGE-----\n", keyfile.ErrOpenPGP, 0},
		{"zeros", strings.Repeat("\x00", 1<<20), xmlwalk.ErrTooLarge, 0}, {"blanks", strings.Repeat(" ", 1<<20), xmlwalk.ErrTooLarge, 0},
		{"large seed", strings.Replace(reference, "0e69", strings.Repeat("a", 1<<20), 1), xmlwalk.ErrTooLarge, 0},
		{"large attribute", strings.Replace(reference, "UBOM", strings.Repeat("a", 1<<20), 1), xmlwalk.ErrTooLarge, 0},
		{"deep", "<Tokens>" + strings.Repeat("<a>", 1<<20), xmlwalk.ErrTooLarge, 0},
		{"other encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>` + reference, xmlwalk.ErrSyntax, 0},
	} {
		recs, errs := sample.Decode(Reader{}, tc.text)
		if len(recs) != tc.good || len(errs) != 1 || !errors.Is(errs[0], tc.want) || keyfile.IsRow(errs[0]) {
			t.Errorf("%s: %d records, %v", tc.name, len(recs), errs)
		}
	}
	broken := errors.New("disk gone")
	for _, err := range (Reader{}).Decode(io.MultiReader(strings.NewReader("<Tokens>"), iotest.ErrReader(broken))) {
		if !errors.Is(err, broken) {
			t.Errorf("a broken reader: %v", err)
		}
	}
}

func TestManyTokens(t *testing.T) {
	t.Parallel()
	token := reference[strings.Index(reference, "<Token "):strings.LastIndex(reference, "</Tokens>")]
	recs, errs := sample.Decode(Reader{}, "<Tokens>"+strings.Repeat(token, 1000)+"</Tokens>")
	if len(recs) != 2000 || len(errs) != 0 {
		t.Errorf("%d records, %v", len(recs), errs)
	}
	for range (Reader{}).Decode(strings.NewReader(reference)) {
		break
	}
}

func TestHostileFiles(t *testing.T) {
	t.Parallel()
	sample.AssertHostile(t, Reader{}, reference)
}

func FuzzDecode(f *testing.F) {
	sample.Fuzz(f, Reader{}, []string{reference, strings.Replace(reference, "42", "-1", 1), "<Tokens></Tokens>", "<Tokens><Token serial='1'><Applications/></Token></Tokens>"}, sample.Sound(token.HOTP), sample.Labelled)
}
