package paper_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"

	"github.com/tokendesk/tokendesk/provision/paper"
)

// TestTemplateRefused: a broken template is refused when it is read, with file, line and field, whichever branch it is in.
func TestTemplateRefused(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("{{if .Copy}}\n", 3)
	for _, tc := range []struct{ file, text, want string }{
		{"receipt.de.txt", "a\n{{.Nmae}}", "receipt.de.txt: line 2: field .Nmae: there is no such fact; there are .Number, "},
		{"receipt.de.txt", deep + "{{.Site.Fax}}{{end}}{{end}}{{end}}", "line 4: field .Site.Fax"},
		{"receipt.de.txt", "{{if .Copy}}\n{{else}}\n\n{{.Secret}}{{end}}", "line 4: field .Secret"},
		{"receipt.de.txt", "{{range .Steps}}\n{{.Name}}{{end}}", "line 2: field .Name: there is no such fact; there are .ID, .Time"},
		{"receipt.de.txt", "{{.Number.X}}", "line 1: field .Number.X: there is none behind it"},
		{"receipt.de.txt", "{{.language}}", "field .language"},
		{"receipt.de.txt", "{{.Copy}}", "only texts can be shown"},
		{"receipt.de.txt", "{{.}}", "only texts can be shown"},
		{"receipt.de.txt", "\n{{if .Copy}}", "receipt.de.txt: line 2: unexpected EOF"},
		{"receipt.de.txt", "\n\n{{foo .Copy}}", "line 3: function \"foo\" not defined"},
		{"receipt.de.txt", "{{printf \"%9999999d\" 1}}", "printf is not possible"},
		{"receipt.de.txt", "{{.Name | len}}", "variables and pipes are not possible"},
		{"receipt.de.txt", "{{$x := .Name}}{{$x}}", "variables and pipes are not possible"},
		{"receipt.de.txt", "{{range $i, $s := .Steps}}{{end}}", "variables and pipes are not possible"},
		{"receipt.de.txt", "{{range 1000000000}}x{{end}}", "is not possible here"},
		{"receipt.de.txt", "{{range .Name}}x{{end}}", "range repeats lists"},
		{"receipt.de.txt", "{{range .Steps}}{{range $.Steps}}x{{end}}{{end}}", "a range in a range is not possible"},
		{"receipt.de.txt", "{{define \"x\"}}{{end}}", "define and block are not possible"},
		{"receipt.de.txt", "{{template \"receipt.de.txt\"}}", "only fields, if, else and range are possible"},
		{"receipt.de.txt", "{{with .Site}}x{{end}}", "only fields, if, else and range are possible"},
		{"receipt.de.txt", "{{if eq .Copy \"x\"}}x{{end}}", "eq compares texts"},
		{"receipt.de.txt", "{{if lt .Name \"x\"}}x{{end}}", "lt is not possible"},
		{"receipt.de.txt", "{{index .Steps 3}}", "index is not possible"},
		{"receipt.de.txt", "{{not .Copy .Pending}}", "not has 2 arguments"},
		{"receipt.de.txt", "a\n\x1b[31m", "line 2: has a control character"},
		{"receipt.de.txt", "a\xff", "line 1: has a control character or is not UTF-8"},
		{"receipt.de.txt", strings.Repeat("x", 70_000), "is longer than 65536 bytes"},
		{"receipt.de.txt", "{{range .Steps}}" + strings.Repeat("x", 60_000) + "{{end}}", "makes more than 262144 bytes"},
		{"receipt.lab.de.txt", "x", "receipt.lab.en.txt: the site's templates do not have it"},
		{"reciept.de.txt", "x", "reciept.de.txt: is no name of a template"},
		{"receipt.fr.txt", "x", "receipt.fr.txt: is no name of a template"},
		{"label.txt", "[qr {{.Name}}]", "label.txt: line 1: field .Name: there is no such fact; there are .Serial, "},
		{"site.txt", "phone = 1\ncolour = red", "site.txt: line 2, column 1: unknown key"},
		{"site.txt", "phone.fr = 1", "line 1, column 1: unknown key"},
		{"site.txt", "language = fr", "line 1, column 12: language: de and en"},
		{"site.txt", "paper = letter", "line 1, column 9: paper: a4, a5 and 80mm"},
		{"site.txt", "card = 123", "card: is text with {} in it"},
		{"site.txt", "phone = 1\nphone = 2", "line 2, column 1: phone: comes twice"},
		{"sheet.x.txt", "columns = 2.5", "sheet.x.txt: line 1, column 11: columns: is a whole number"},
		{"sheet.x.txt", "columns = 1\nrows = 1\nwidth = 100\nheight = 20\npage-width = 90\npage-height = 100", "wider than the page"},
		{"sheet.x.txt", "columns = 2\nrows = 1\nwidth = 40\nheight = 20\npage-width = 90\npage-height = 100\npitch-x = 30", "labels overlap"},
		{"sheet.x.txt", "columns = 1e3", "columns: is a number from 0 to 2000"},
		{"font.ttf", "no font", "font.ttf: is no TrueType font"},
		{"font.ttf", "OTTO\x00\x01", "OpenType fonts with PostScript outlines (.otf) and collections (.ttc) cannot be used"},
		{"font.ttf", "\x00\x01\x00\x00\x00\x09", "font.ttf: is no TrueType font"},
	} {
		p, err := paper.Open(fstest.MapFS{tc.file: {Data: []byte(tc.text)}})
		if err == nil || p != nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %.60q: got %v, want %s", tc.file, tc.text, err, tc.want)
		}
		var bad *paper.TemplateError
		var file *paper.FileError
		if !errors.As(err, &bad) && !errors.As(err, &file) {
			t.Errorf("%s: %T", tc.file, err)
		}
	}
}

// TestLoneActions: a line that holds one if, else, end or range leaves no empty line behind, with either kind of line end.
func TestLoneActions(t *testing.T) {
	t.Parallel()
	const de = "\ufeffA :: 1\r\n{{if .Copy}}\r\nB :: 2\r\n{{else if not .Pending}}\r\nC :: 3\r\n{{end}}\r\n{{range .Steps}}\r\n- {{.ID}}\r\n{{end}}\r\nname {{$.Name}}"
	p := open(t, fstest.MapFS{"receipt.de.txt": {Data: []byte(de)}})
	r := sample()
	r.Language, r.Steps = "de", r.Steps[:2]
	if got, want := text(t, p, r, paper.A4), "A: 1\nC: 3\n- H-1\n- H-2 name Łukasz Ελένη Müller-Größmann\n"; got != want {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// TestBuiltinFiles: what is built in can be written into a folder, changed, and read again.
func TestBuiltinFiles(t *testing.T) {
	t.Parallel()
	files, err := paper.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, files); err != nil {
		t.Fatal(err)
	}
	p, err := paper.Open(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	list, err := fs.ReadDir(files, ".")
	if err != nil || len(list) < 5 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	var a, b bytes.Buffer
	if err := errors.Join(p.PDF(&a, sample(), paper.A4), open(t, nil).PDF(&b, sample(), paper.A4)); err != nil || !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Errorf("another receipt, %v", err)
	}
}

// TestOwnFont: a site's font is used; what it lacks is a box, or ? if it lacks that, too.
func TestOwnFont(t *testing.T) {
	t.Parallel()
	p := open(t, fstest.MapFS{"font.ttf": {Data: goregular.TTF}, "font-bold.ttf": {Data: gobold.TTF}})
	r := sample()
	r.Name, r.Language = "Łukasz Ελένη Nguyễn", "en"
	got := judge(t, "pdftotext", "-raw", write(t, "own.pdf", pdf(t, p, r, paper.A4)), "-")
	if !strings.Contains(got, "Łukasz Ελένη Nguy") || strings.Contains(got, "Nguyễn") || !strings.Contains(got, "stands for a character") {
		t.Errorf("got %s", got)
	}
}

// FuzzTemplate: a template that is taken can be filled in with every receipt.
func FuzzTemplate(f *testing.F) {
	files, err := paper.Builtin()
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range []string{"receipt.de.txt", "label.txt"} {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b), "Ada")
	}
	f.Add("{{if or .Copy (and .Pending (eq .Name \"x\"))}}{{.Site.Phone}}{{end}}", "x")
	f.Fuzz(func(t *testing.T, template, name string) {
		p, err := paper.Open(fstest.MapFS{"receipt.de.txt": {Data: []byte(template)}})
		if err != nil {
			return
		}
		for _, r := range variants() {
			r.Language, r.Name = "de", name
			if err := p.Text(&bytes.Buffer{}, r, paper.Roll); err != nil {
				t.Fatalf("%v\n%s", err, template)
			}
		}
	})
}
