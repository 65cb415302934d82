package desk

import (
	"errors"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
)

func readAll(text string) (rows []personRow, err error) {
	for row, e := range readPersons(strings.NewReader(text)) {
		if e != nil {
			return rows, e
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func TestPersonFileHeader(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text   string
		column int // 0: taken
	}{
		"all": {"account,name,mail\n", 0}, "other order": {"mail,name,account\n", 0}, "account only": {"account\n", 0}, "upper case": {"Account, NAME\n", 0},
		"with mark": {"\xef\xbb\xbfaccount\n", 0}, "CR LF": {"account,name\r\n", 0},
		"empty": {"", 1}, "no account": {"name,mail\n", 1}, "unknown column": {"account,phone\n", 2}, "twice": {"account,name,name\n", 3}, "no header": {"anna,Anna,a@b\n", 1},
		"semicolons": {"account;name;mail\n", 1}, "quote": {"\"account\n", 1},
	} {
		_, err := readAll(tc.text)
		var re *keyfile.RowError
		if tc.column == 0 && err != nil || tc.column != 0 && (!errors.As(err, &re) || re.Line != 1 || re.Column != tc.column || re.Field != "header") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPersonFileRows(t *testing.T) {
	t.Parallel()
	const text = "name,account,mail\n" +
		"Anna Adler,anna,anna@example.org\n" +
		"Bert\n" + // line 3: two fields missing
		"\n" + // no row
		"\"Carl, C.\",carl,\n" + // line 5
		"x,,m\n" + // line 6: no account
		"x,\"d,e\",m\n" + // line 7: a comma
		"\"two\nlines\",frida,m\n" + // lines 8 and 9
		"bad \"quote,gerd,m\n" + // line 10
		"Ida,ida,i@example.org,more\n" + // line 11
		"Jan,jan,j@example.org\n" // line 12
	rows, err := readAll(text)
	if err != nil {
		t.Fatal(err)
	}
	want := []struct {
		line    int
		account string
		column  int // 0: good
		field   string
	}{
		{2, "anna", 0, ""}, {3, "", 2, "row"}, {5, "carl", 0, ""}, {6, "", 2, "account"}, {7, "", 2, "account"}, {8, "", 1, "name"}, {10, "", 1, "row"}, {11, "", 4, "row"}, {12, "jan", 0, ""},
	}
	if len(rows) != len(want) {
		t.Fatalf("%d rows: %+v", len(rows), rows)
	}
	for i, w := range want {
		r := rows[i]
		switch {
		case r.line != w.line || r.Account != w.account || (r.err == nil) != (w.column == 0):
			t.Errorf("row %d: %+v, want %+v", i, r, w)
		case r.err != nil && (r.err.Line != w.line || r.err.Column != w.column || r.err.Field != w.field):
			t.Errorf("row %d: %v, want %+v", i, r.err, w)
		}
	}
	if rows[2].Name != "Carl, C." {
		t.Errorf("name %q", rows[2].Name)
	}
}

// FuzzPersonFile: a good row is a person that may be added; a bad one tells where and holds nothing.
func FuzzPersonFile(f *testing.F) {
	for _, s := range []string{"account\nanna\n", "name,account,mail\nAnna,anna,a@b\n\"x\n", "account,name\na,b,c\n\xff,\n", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rows, _ := readAll(text)
		for _, r := range rows {
			if r.err == nil && checkPerson(r.Person) != nil {
				t.Fatalf("%+v was taken", r.Person)
			}
			if r.err != nil && (r.Account != "" || r.Name != "" || r.err.Line < 1 || r.err.Column < 1) {
				t.Fatalf("%+v beside %v", r.Person, r.err)
			}
			if r.line < 2 {
				t.Fatalf("line %d", r.line)
			}
		}
	})
}

// FuzzParseQuery: an OTP leaves its public ID and no more.
func FuzzParseQuery(f *testing.F) {
	for _, s := range []string{"123", "vvcccbcdcecf", "anna", "vvcccbcdcecf" + strings.Repeat("cbde", 8), strings.Repeat("c", 32), strings.Repeat("C", 64), ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		m := ParseQuery(query)
		if m.Text != "" && len(m.Text) > 32 && len(m.PublicIDs) > 0 {
			t.Fatalf("%q was kept beside a public ID", m.Text)
		}
		for _, p := range m.PublicIDs {
			if p.Len() > 16 {
				t.Fatalf("%s", p)
			}
		}
	})
}
