package paper_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/token"
)

var update = flag.Bool("update", false, "write golden files")

// hash is the SHA-256 of a text that is nobody's.
const hash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// sample is a receipt as a desk writes it.
func sample() paper.Receipt {
	at := time.Date(2026, 11, 22, 10, 2, 13, 0, time.FixedZone("CET", 3600))
	r := paper.Receipt{
		Number: "R-17", Name: "Łukasz Ελένη Müller-Größmann", Account: "lmueller", Issued: at, By: "hopper", Place: "Desk 2, building 10",
		IDCheck: token.ByStaffCard, Way: paper.Handed, Replaces: "20411700", Checkpoint: paper.Checkpoint{Seq: 4711, Hash: hash},
		Token: paper.Subject{Model: "YubiKey 5 NFC", Firmware: "5.7.4", Serial: 20411733, StockNumber: "A-00017", PublicID: "vvccccbeiggg",
			Slot: 2, Kind: token.YubicoOTP},
	}
	for i, id := range []string{"H-1", "H-2", "H-3", "H-4", "H-5", "H-6", "H-7"} {
		r.Steps = append(r.Steps, paper.Step{ID: id, At: at.Add(time.Duration(i) * time.Second)})
	}
	return r
}

// variants are all ways of a hand-over in both languages, by name.
func variants() map[string]paper.Receipt {
	out := map[string]paper.Receipt{}
	for _, language := range paper.Languages() {
		for name, change := range map[string]func(*paper.Receipt){
			"handed": func(*paper.Receipt) {},
			"stocked": func(r *paper.Receipt) {
				r.Way, r.Token.Firmware, r.Token.Slot = paper.Stocked, "", 1
				r.Accounts = []string{"Example Ltd:ada", "Portal:ada"}
				r.Certificates = []paper.Certificate{{"9a", "CN=ada,O=Example", r.Issued.AddDate(1, 0, 0)}, {"9c", "CN=ada", r.Issued.AddDate(2, 0, 0)}}
			},
			"shipped": func(r *paper.Receipt) { r.Way, r.IDCheck, r.Witness = paper.Shipped, token.ByVideo, "turing" },
			"offline": func(r *paper.Receipt) {
				r.Number, r.Pending, r.Checkpoint = "R-DESK2-3", true, paper.Checkpoint{}
			},
			"copy": func(r *paper.Receipt) { r.Copy = true },
			"bare": func(r *paper.Receipt) { *r = paper.Receipt{Account: "a", Token: paper.Subject{Serial: 1}} },
		} {
			r := sample()
			change(&r)
			r.Language = language
			out[name+"."+language] = r
		}
	}
	return out
}

// folder is a site that says how it is reached.
func folder() fstest.MapFS {
	return fstest.MapFS{"site.txt": {Data: []byte(`name = Hochschule Beispiel
phone = +49 661 0000-0
hours.de = Mo–Fr 8–16 Uhr
hours.en = Mon–Fri 8 to 16
mail = token@example.org
url = https://example.org/tokens
loss-url = https://example.org/lost
activation-url = https://example.org/activate
language = de
paper = a5
card = ;{}?
account = u{}
`)}}
}

func open(t testing.TB, from fstest.MapFS) *paper.Press {
	t.Helper()
	if from == nil {
		from = fstest.MapFS{}
	}
	p, err := paper.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func text(t testing.TB, p *paper.Press, r paper.Receipt, s paper.Size) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.Text(&b, r, s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func pdf(t testing.TB, p *paper.Press, r paper.Receipt, s paper.Size) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := p.PDF(&b, r, s); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReceipts holds the built-in texts of all variants against files that people reviewed.
func TestReceipts(t *testing.T) {
	t.Parallel()
	p := open(t, folder())
	for name, r := range variants() {
		got := text(t, p, r, paper.A4)
		golden := filepath.Join("testdata", "receipt."+name+".golden")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil || got != string(want) {
			t.Errorf("%s: %v: run with -update and review\n%s", name, err, got)
		}
	}
}

// TestText: whatever the size, no line is too long, nothing of the markup is left, and every fact is there.
func TestText(t *testing.T) {
	t.Parallel()
	p := open(t, folder())
	for size, most := range map[paper.Size]int{paper.A4: 76, paper.A5: 60, paper.Roll: 42} {
		for name, r := range variants() {
			got := text(t, p, r, size)
			for line := range strings.Lines(got) {
				if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > most {
					t.Errorf("%s %s: %d characters: %s", size, name, n, line)
				}
			}
			if i := strings.IndexAny(got, "{}[]\ue000\u00a0"); i >= 0 || strings.Contains(got, "::") {
				t.Errorf("%s %s: markup is left\n%s", size, name, got)
			}
			for _, fact := range facts(r) {
				if !strings.Contains(squeezed(got), squeezed(fact)) {
					t.Errorf("%s %s: %q is missing", size, name, fact)
				}
			}
		}
	}
}

// facts are what every receipt must say.
func facts(r paper.Receipt) []string {
	out := []string{r.Number, r.Name, r.Account, r.Token.Serial.String(), r.Token.StockNumber, r.Token.PublicID, r.Token.Model, r.Token.Firmware, r.By,
		r.Place, r.Witness, r.Replaces, r.Checkpoint.Hash, "+49 661 0000-0", "https://example.org/lost", "token@example.org", "Hochschule Beispiel"}
	for _, s := range r.Steps {
		out = append(out, s.ID+s.At.Format("15:04:05"))
	}
	words := map[string][]string{
		"de": {"Mo–Fr 8–16 Uhr", "Geben Sie es zurück", "Melden Sie es sofort"}, "en": {"Mon–Fri 8 to 16", "Return it when you leave", "Report it at once"},
	}[r.Language]
	if r.Way == paper.Shipped {
		out = append(out, "https://example.org/activate")
	}
	if r.Pending {
		words = append(words, map[string]string{"de": "Ohne Verbindung zum Server", "en": "without a connection to the server"}[r.Language])
	}
	if r.Copy {
		words = append(words, map[string]string{"de": "KOPIE", "en": "COPY"}[r.Language])
	}
	return append(out, words...)
}

// squeezed is a text without white space and marks of boxes: where lines break does not matter.
func squeezed(s string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(s, "*** ", "")), "")
}

// TestHostile: what a person is called reaches paper as text, or as a box, and nothing else.
func TestHostile(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for name, want := range map[string]string{
		"# not a title":            "# not a title",
		"[cut]":                    "[cut]",
		"[sign x]":                 "[sign x]",
		"a :: b":                   "a :: b",
		"{{.Site}}":                "{{.Site}}",
		"a\x1b[31m\x00b\u202ec\nd": "a[31mbc d",
		"a\ue000b":                 "ab",
		"李小龍 Ελένη עברית":          "李小龍 Ελένη עברית",
		"\xff\xfe":                 "",
		"e\u0301":                  "é",
	} {
		r := sample()
		r.Name, r.Language = name, "en"
		got := text(t, p, r, paper.A4)
		if !strings.Contains(got, "Person:        "+want) || strings.Count(got, "\n- - -") != 1 {
			t.Errorf("%q: want %q in\n%s", name, want, got)
		}
	}
	bare := open(t, fstest.MapFS{"receipt.en.txt": {Data: []byte("{{.Number}}\n\n{{.Name}}\n\n{{.Account}} :: {{.By}}")}})
	for _, name := range []string{"# a", "## a", "- a", "[cut]", "[sign a]", "[qr]", "[box] a", "a :: b"} { // at the beginning of a line
		r := sample()
		r.Name, r.Language = name, "en"
		if got, want := text(t, bare, r, paper.A4), "R-17\n\n"+name+"\n\nlmueller :: hopper\n"; got != want {
			t.Errorf("%q: got %q", name, got)
		}
	}
	r := sample()
	r.Account, r.Name = strings.Repeat("x", 5000), ""
	if got := text(t, p, r, paper.Roll); len(got) > 6000 || !strings.Contains(got, "…") {
		t.Errorf("%d bytes", len(got))
	}
}

// TestDeterministic: equal facts give equal bytes, from any press, in parallel.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	a, b := open(t, nil), open(t, nil)
	r := sample()
	r.Name = "Łukasz 李 Ελένη"
	l := paper.Label{Subject: r.Token, Batch: "7"}
	print := func(p *paper.Press) string {
		var out bytes.Buffer
		for _, size := range paper.Sizes() {
			out.Write(pdf(t, p, r, size))
		}
		for _, err := range []error{
			p.LabelPDF(&out, paper.Stickers{Layout: "avery-l7651"}, []paper.Label{l, l}), p.LabelSVG(&out, paper.Stickers{}, l), p.LabelCSV(&out, []paper.Label{l}),
		} {
			if err != nil {
				t.Error(err)
			}
		}
		return out.String()
	}
	all := []chan string{}
	for i := range 4 {
		c := async(func() string { return print([]*paper.Press{a, b}[i%2]) })
		all = append(all, c)
	}
	first := <-all[0]
	for _, c := range all[1:] {
		if got := <-c; got != first {
			t.Error("the same facts gave other bytes")
		}
	}
}

func async(f func() string) chan string {
	c := make(chan string, 1)
	go func() { c <- f() }()
	return c
}

// TestFactsAreTexts: there is nothing on paper's types that could hold a secret or do something.
func TestFactsAreTexts(t *testing.T) {
	t.Parallel()
	var walk func(at string, x reflect.Type)
	walk = func(at string, x reflect.Type) {
		switch x.Kind() {
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int64, reflect.Uint32:
		case reflect.Slice:
			walk(at+"[]", x.Elem())
		case reflect.Struct:
			if x == reflect.TypeFor[time.Time]() {
				return
			}
			for f := range x.Fields() {
				walk(at+"."+f.Name, f.Type)
			}
		default:
			t.Errorf("%s is a %s", at, x)
		}
	}
	walk("Receipt", reflect.TypeFor[paper.Receipt]())
	walk("Label", reflect.TypeFor[paper.Label]())
}

func TestLabelCSV(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	list := []paper.Label{
		{Subject: sample().Token, Batch: "7"}, {Subject: paper.Subject{Serial: 5}},
		{Subject: paper.Subject{Label: "=cmd|' /C calc'!A0"}, Batch: "a\nb"}, {Subject: paper.Subject{StockNumber: "-1+1"}},
	}
	if err := open(t, nil).LabelCSV(&b, list); err != nil {
		t.Fatal(err)
	}
	const want = `code,serial,stock_number,label,model,public_id,batch
A-00017,20411733,A-00017,,"YubiKey 5 NFC, firmware 5.7.4",vvccccbeiggg,7
5,5,,,,,
'=cmd|' /C calc'!A0,,,'=cmd|' /C calc'!A0,,,a b
'-1+1,,'-1+1,,,,
`
	if b.String() != want {
		t.Errorf("got\n%s", b.String())
	}
}

func TestKnown(t *testing.T) {
	t.Parallel()
	files := folder()
	files["receipt.lab.de.txt"], files["receipt.lab.en.txt"] = &fstest.MapFile{Data: []byte("{{.Number}}")}, &fstest.MapFile{Data: []byte("x")}
	files["label.wide.txt"] = &fstest.MapFile{Data: []byte("{{.Code}}")}
	files["sheet.own.txt"] = &fstest.MapFile{Data: []byte("page-width = 210\npage-height = 297\ncolumns = 2\nrows = 5\nwidth = 90.5\nheight = 50\nleft = 10\ntop = 20\n")}
	files["notes.md"] = &fstest.MapFile{Data: []byte("ignored")}
	p := open(t, files)
	if !slices.Equal(p.Receipts(), []string{"", "lab"}) || !slices.Equal(p.Labels(), []string{"", "code128", "wide"}) || !slices.Contains(p.Layouts(), "own") {
		t.Errorf("%q, %q, %q", p.Receipts(), p.Labels(), p.Layouts())
	}
	if err := p.Known("lab", "wide", "own"); err != nil {
		t.Error(err)
	}
	for _, names := range [][3]string{{"x", "", ""}, {"", "x", ""}, {"", "", "x"}} {
		if err := p.Known(names[0], names[1], names[2]); err == nil {
			t.Errorf("%q is known", names)
		}
	}
	r := sample()
	r.Template = "lab"
	if got := text(t, p, r, ""); got != "R-17\n" { // the site's language and size
		t.Errorf("%q", got)
	}
}
