package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/paper"
)

// openPress reads a site's templates; "" is the built-in ones.
func openPress(dir string) (*paper.Press, error) {
	var folder fs.FS
	if dir != "" {
		folder = os.DirFS(dir)
	}
	p, err := paper.Open(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, problemf(exitNotFound, "--templates: there is no directory %s", printable(dir)).hint("to begin with: tokendesk provision template copy %s", printable(dir))
	case err != nil:
		return nil, &problem{line: "templates: " + oneLine(err), code: exitUsage, cause: err}
	}
	return p, nil
}

func newTemplateCmd(a *app) *cobra.Command {
	cmd := group("template", "See and change what is printed: receipts, labels, contact data", newTemplateListCmd(a), newTemplateShowCmd(a), newTemplateCopyCmd(a), newTemplateCheckCmd(a))
	cmd.Long = `See and change what is printed. A site keeps a directory of templates and names it by --templates:

  site.txt                               how the site is reached; how persons' cards are scanned; which paper it has
  receipt.de.txt, receipt.NAME.de.txt    receipts; NAME is what a profile says, each in both languages
  label.txt, label.NAME.txt              labels
  sheet.NAME.txt                         sizes of a sheet of labels, in millimetres
  font.ttf, font-bold.ttf                what PDFs are set in

A file takes the place of the built-in one. Templates see facts, {{.Name}}, and can choose by them, {{if .Shipped}}; nothing else.
A broken one is refused when a desk or a batch begins, with its line and field.`
	return cmd
}

// templateRow is one file.
type templateRow struct {
	File   string `json:"file"`
	Origin string `json:"origin"` // "built in" or the directory
}

func newTemplateListCmd(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use: "list", Short: "List the templates, and the sizes of labels", Args: args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			press, err := openPress(dir)
			if err != nil {
				return err
			}
			files, err := templateFiles(dir)
			if err != nil {
				return err
			}
			var rows []templateRow
			for _, name := range slices.Sorted(mapKeys(files)) {
				rows = append(rows, templateRow{name, files[name]})
			}
			for _, name := range press.Layouts() {
				if _, own := files["sheet."+name+".txt"]; !own {
					rows = append(rows, templateRow{"sheet." + name, "built in"})
				}
			}
			return list(a, "templates", rows, []column[templateRow]{
				{"File", func(r templateRow) string { return r.File }},
				{"From", func(r templateRow) string { return r.Origin }},
			})
		},
	}
	cmd.Flags().StringVar(&dir, "templates", "", "directory with this site's templates")
	return cmd
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// templateFiles are the files that are in force, by where they come from.
func templateFiles(dir string) (map[string]string, error) {
	own, err := paper.Builtin()
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, from := range []struct {
		files fs.FS
		name  string
	}{{own, "built in"}, {os.DirFS(dir), dir}} {
		if from.name == "" {
			continue
		}
		list, err := fs.ReadDir(from.files, ".")
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if ext := filepath.Ext(e.Name()); !e.IsDir() && (ext == ".txt" || ext == ".ttf") {
				out[e.Name()] = from.name
			}
		}
	}
	return out, nil
}

func newTemplateShowCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "show FILE", Short: "Print a built-in template, to be changed", Args: args(1, 1, "FILE"),
		Example: "  tokendesk provision template show receipt.de.txt > templates/receipt.de.txt",
		RunE: func(_ *cobra.Command, given []string) error {
			own, err := paper.Builtin()
			if err != nil {
				return err
			}
			text, err := fs.ReadFile(own, given[0])
			if err != nil {
				return problemf(exitNotFound, "no built-in template has that name").hint("see: tokendesk provision template list")
			}
			_, err = a.stdout.Write(text)
			return err
		},
	}
}

func newTemplateCopyCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "copy DIR", Short: "Write the built-in templates into a directory, to begin with; nothing is overwritten", Args: args(1, 1, "DIR"),
		RunE: func(_ *cobra.Command, given []string) error {
			own, err := paper.Builtin()
			if err != nil {
				return err
			}
			if err := os.MkdirAll(given[0], 0o755); err != nil {
				return fileProblem(err, given[0])
			}
			list, err := fs.ReadDir(own, ".")
			if err != nil {
				return err
			}
			for _, e := range list {
				text, err := fs.ReadFile(own, e.Name())
				if err != nil {
					return err
				}
				out := filepath.Join(given[0], e.Name())
				if _, err := os.Lstat(out); err == nil {
					a.say("%s is there already and stays as it is", printable(out))
					continue
				}
				if err := writeNew(out, func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
					return err
				}
			}
			a.say("change the files in %s, then: tokendesk provision template check %s", printable(given[0]), printable(given[0]))
			return nil
		},
	}
}

func newTemplateCheckCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "check DIR", Short: "Read a directory of templates as a desk does, and say what is wrong", Args: args(1, 1, "DIR"),
		RunE: func(_ *cobra.Command, given []string) error {
			press, err := openPress(given[0])
			if err != nil {
				return err
			}
			a.say("%s can be used: receipts %s; labels %s; sizes %s", printable(given[0]), nameList(press.Receipts()), nameList(press.Labels()), nameList(press.Layouts()))
			return nil
		},
	}
}

// nameList lists names; the one without is the usual one.
func nameList(list []string) string {
	var out []string
	for _, n := range list {
		if n == "" {
			n = "(usual)"
		}
		out = append(out, n)
	}
	return strings.Join(out, ", ")
}

// sizes are the papers of receipts.
func sizes() []string {
	var out []string
	for _, s := range paper.Sizes() {
		out = append(out, string(s))
	}
	return out
}

// checkSize reads --size.
func checkSize(s string) (paper.Size, error) {
	if s != "" && !slices.Contains(sizes(), s) {
		return "", usagef("--size is %s", strings.Join(sizes(), ", "))
	}
	return paper.Size(s), nil
}

// writeLabels makes labels as .csv or .pdf, or as .svg: one label in that file, several in files with numbers.
func writeLabels(press *paper.Press, o paper.Stickers, out string, list []paper.Label) error {
	switch strings.ToLower(filepath.Ext(out)) {
	case ".csv":
		return writeNew(out, func(w io.Writer) error { return press.LabelCSV(w, list) })
	case ".pdf":
		return writeNew(out, func(w io.Writer) error { return press.LabelPDF(w, o, list) })
	}
	if len(list) == 1 {
		return writeNew(out, func(w io.Writer) error { return press.LabelSVG(w, o, list[0]) })
	}
	base := strings.TrimSuffix(out, filepath.Ext(out))
	for n, l := range list {
		if err := writeNew(fmt.Sprintf("%s-%04d.svg", base, n+1), func(w io.Writer) error { return press.LabelSVG(w, o, l) }); err != nil {
			return err
		}
	}
	return nil
}

// labelFile refuses a name whose ending is no form of labels.
func labelFile(flag, out string) error {
	switch strings.ToLower(filepath.Ext(out)) {
	case ".pdf", ".csv", ".svg":
		return nil
	}
	return usagef("%s names a file that ends in .pdf, .csv or .svg", flag)
}
