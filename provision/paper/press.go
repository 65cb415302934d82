package paper

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"reflect"
	"slices"
	"strings"
	"text/template"
)

//go:embed builtin/*.txt
var builtin embed.FS

// Builtin are the files that every press begins with: a site copies and changes them.
func Builtin() (fs.FS, error) { return fs.Sub(builtin, "builtin") }

// Press prints for one site. It may be used from any number of goroutines.
type Press struct {
	site     site
	face     *typeface
	receipts map[string]*template.Template // by NAME.LANGUAGE, the default one by .LANGUAGE
	labels   map[string]*template.Template // by NAME, the default one by ""
	layouts  map[string]layout
}

// FileError is a file of a site's folder that cannot be used.
type FileError struct {
	File string
	Err  error
}

func (e *FileError) Error() string { return e.File + ": " + e.Err.Error() }

// Unwrap is the reason.
func (e *FileError) Unwrap() error { return e.Err }

// Open reads a site's folder, in which each file takes the place of a built-in one or is one more:
//
//	site.txt                               how the site is reached, how its cards are scanned
//	receipt.de.txt, receipt.NAME.de.txt    receipts; each NAME in both languages
//	label.txt, label.NAME.txt              labels
//	sheet.NAME.txt                         sizes of label sheets
//	font.ttf, font-bold.ttf                what PDFs are set in
//
// nil is the built-in ones alone. Every template is held against the facts that there are and filled in with the largest: a broken one is
// refused here and not at the hundredth person. Other files with these endings are refused, they are misspelt. The errors are
// *TemplateError and *FileError.
func Open(folder fs.FS) (*Press, error) {
	p := &Press{receipts: map[string]*template.Template{}, labels: map[string]*template.Template{}, layouts: builtinLayouts()}
	own, err := Builtin()
	if err != nil {
		return nil, err
	}
	for _, from := range []fs.FS{own, folder} {
		if from == nil {
			continue
		}
		if err := p.read(from); err != nil {
			return nil, err
		}
	}
	if p.face == nil {
		if p.face, err = builtinFace(); err != nil {
			return nil, err
		}
	}
	if err := p.rehearse(); err != nil {
		return nil, err
	}
	return p, nil
}

// maxSiteFile is the longest file of a folder, in bytes: fonts are.
const maxSiteFile = 64 << 20

func (p *Press) read(from fs.FS) error {
	list, err := fs.ReadDir(from, ".")
	if err != nil {
		return err
	}
	for _, e := range list {
		name := e.Name()
		if !strings.HasSuffix(name, ".txt") && !strings.HasSuffix(name, ".ttf") || e.IsDir() {
			continue
		}
		text, err := readFile(from, name)
		if err == nil {
			err = p.take(from, name, text)
		}
		var bad *TemplateError
		if err != nil && !errors.As(err, &bad) {
			err = &FileError{name, err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readFile(from fs.FS, name string) ([]byte, error) {
	f, err := from.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxSiteFile+1))
	if err == nil && len(b) > maxSiteFile {
		err = errors.New("is too large")
	}
	return b, err
}

// take puts one file into its place.
func (p *Press) take(from fs.FS, name string, text []byte) (err error) {
	parts := strings.Split(name, ".")
	switch {
	case name == "site.txt":
		p.site, err = parseSite(string(text))
		return err
	case name == "font.ttf":
		heavy, err := readFile(from, "font-bold.ttf")
		if errors.Is(err, fs.ErrNotExist) {
			heavy, err = text, nil
		}
		if err == nil {
			p.face, err = siteFace(text, heavy)
		}
		return err
	case name == "font-bold.ttf":
		return nil
	case parts[0] == "label" && len(parts) <= 3:
		key := strings.Join(parts[1:len(parts)-1], ".")
		p.labels[key], err = parseTemplate(name, string(text), reflect.TypeFor[labelFacts]())
		return err
	case parts[0] == "sheet" && len(parts) == 3:
		p.layouts[parts[1]], err = parseLayout(string(text))
		return err
	case parts[0] == "receipt" && (len(parts) == 3 || len(parts) == 4) && slices.Contains(Languages(), parts[len(parts)-2]):
		key := strings.Join(parts[1:len(parts)-2], ".") + "." + parts[len(parts)-2]
		p.receipts[key], err = parseTemplate(name, string(text), reflect.TypeFor[facts]())
		return err
	}
	return errors.New("is no name of a template: site.txt, receipt.de.txt, receipt.NAME.de.txt, label.txt, label.NAME.txt, sheet.NAME.txt, font.ttf and font-bold.ttf are")
}

// ErrUnknown is a template, layout or size that the press does not have.
var ErrUnknown = errors.New("the site's templates do not have it")

// Receipts are the names of the receipts' templates, the default one is "".
func (p *Press) Receipts() []string {
	var out []string
	for key := range p.receipts {
		name, _, _ := cutLast(key, ".")
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// Labels are the names of the labels' templates, the default one is "".
func (p *Press) Labels() []string { return slices.Sorted(maps.Keys(p.labels)) }

// Layouts are the names of the label sheets.
func (p *Press) Layouts() []string { return slices.Sorted(maps.Keys(p.layouts)) }

// Known refuses names that a profile or a command line gives and the press does not have: ErrUnknown. "" is always known.
func (p *Press) Known(receipt, label, layout string) error {
	if !slices.Contains(p.Receipts(), receipt) {
		return fmt.Errorf("receipt.%s.%s.txt: %w", receipt, english, ErrUnknown)
	}
	if !slices.Contains(p.Labels(), label) {
		return fmt.Errorf("label.%s.txt: %w", label, ErrUnknown)
	}
	if _, ok := p.layouts[layout]; !ok && layout != "" {
		return fmt.Errorf("sheet.%s.txt: %w; there are %s", layout, ErrUnknown, strings.Join(p.Layouts(), ", "))
	}
	return nil
}

// blocks fills the receipt's template in.
func (p *Press) blocks(r Receipt) ([]block, facts, error) {
	f := p.site.facts(r)
	t := p.receipts[r.Template+"."+f.language]
	if t == nil {
		return nil, f, fmt.Errorf("receipt.%s.%s.txt: %w", r.Template, f.language, ErrUnknown)
	}
	text, err := fill(t, f)
	return blocks(text, true), f, err
}

// Text writes a receipt as plain text, UTF-8, wrapped for the size ("": the site's), the two parts apart by a line.
func (p *Press) Text(w io.Writer, r Receipt, s Size) error {
	list, _, err := p.blocks(r)
	if err != nil {
		return err
	}
	return writeText(w, list, columns(p.site.size(s)))
}
