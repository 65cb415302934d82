package paper_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tokendesk/tokendesk/provision/paper"
)

// judge runs a program of Debian. The test is skipped where it is not installed; where TOKENDESK_JUDGES is 1, it fails.
func judge(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.Output()
	if err != nil && name != "zbarimg" { // it says 4 when one of several pictures has no code
		t.Fatalf("%s: %v: %s", name, err, talk.String())
	}
	return string(out)
}

func write(t *testing.T, name string, b []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// wide are receipts that are hard to print: long words, every character of a name that fonts lack, all fields full.
func wide() map[string]paper.Receipt {
	long, odd, full := sample(), sample(), sample()
	long.Name = strings.Repeat("Wolfeschlegelsteinhausenbergerdorff", 4) + " von und zu Hohenlohe-Langenburg"
	long.Account, long.Language = strings.Repeat("account", 12), "de"
	odd.Name, odd.Language = "李小龍 עברית 🙂 ﷽ नेहा Nguyễn Ελένη Łukasz", "en"
	full.Language, full.Copy, full.Pending, full.Witness = "de", true, true, "turing"
	full.Note, full.Place = strings.Repeat("sehr lange Bemerkung ", 14), strings.Repeat("Raum ", 20)
	for range 12 {
		full.Steps = append(full.Steps, full.Steps[0])
	}
	out := map[string]paper.Receipt{"long": long, "odd": odd, "full": full}
	for name, r := range variants() {
		if !testing.Short() || strings.HasPrefix(name, "shipped") {
			out[name] = r
		}
	}
	return out
}

// TestPDF: Poppler reads every fact of every receipt on every paper; all words are on the page, and none on another.
func TestPDF(t *testing.T) {
	t.Parallel()
	p := open(t, folder())
	for _, size := range paper.Sizes() {
		t.Run(string(size), func(t *testing.T) {
			t.Parallel()
			for name, r := range wide() {
				file := write(t, name+".pdf", pdf(t, p, r, size))
				got := judge(t, "pdftotext", "-raw", file, "-")
				for _, fact := range facts(r) {
					if fact != r.Name && !strings.Contains(squeezed(got), squeezed(fact)) {
						t.Errorf("%s: %q is missing in\n%s", name, fact, got)
					}
				}
				if name == "odd" && (!strings.Contains(got, "Ελένη Łukasz") || !strings.Contains(got, "Nguyễn") || !strings.Contains(got, "□ stands for") || strings.ContainsAny(got, "עﷺन")) ||
					name != "odd" && strings.Contains(got, "□") {
					t.Errorf("%s: boxes in\n%s", name, got)
				}
				checkBoxes(t, name, judge(t, "pdftotext", "-bbox", file, "-"), 3)
			}
		})
	}
}

// TestPages: what is longer than a page goes on the next one, line by line, and says which it is.
func TestPages(t *testing.T) {
	t.Parallel()
	long := "# long\n" + strings.Repeat("- "+strings.Repeat("word ", 30)+"\n", 60) + "[cut]\n# short\n" + strings.Repeat("text ", 2000)
	p := open(t, fstest.MapFS{"receipt.en.txt": {Data: []byte(long)}})
	r := sample()
	r.Language = "en"
	for _, size := range []paper.Size{paper.A4, paper.A5} {
		file := write(t, "long.pdf", pdf(t, p, r, size))
		if got := judge(t, "pdftotext", "-raw", file, "-"); strings.Count(got, "word") != 1800 || strings.Count(got, "text") != 2000 || !strings.Contains(got, "R-17 · page 2 of ") {
			t.Errorf("%s: %d words, %d texts", size, strings.Count(got, "word"), strings.Count(got, "text"))
		}
		checkBoxes(t, string(size), judge(t, "pdftotext", "-bbox", file, "-"), 12)
	}
}

type word struct {
	XMin float64 `xml:"xMin,attr"`
	XMax float64 `xml:"xMax,attr"`
	YMin float64 `xml:"yMin,attr"`
	YMax float64 `xml:"yMax,attr"`
	Text string  `xml:",chardata"`
}

// checkBoxes holds the words of pdftotext -bbox against their page and against one another; most is how many pages there may be.
func checkBoxes(t *testing.T, name, bbox string, most int) {
	t.Helper()
	var doc struct {
		Pages []struct {
			Width  float64 `xml:"width,attr"`
			Height float64 `xml:"height,attr"`
			Words  []word  `xml:"word"`
		} `xml:"body>doc>page"`
	}
	if err := xml.Unmarshal([]byte(bbox), &doc); err != nil {
		t.Fatal(err)
	}
	words := 0
	for n, page := range doc.Pages {
		for i, a := range page.Words {
			words++
			if a.XMin < 8 || a.XMax > page.Width-8 || a.YMin < 0 || a.YMax > page.Height {
				t.Errorf("%s: page %d: %q leaves the page", name, n+1, a.Text)
			}
			for _, b := range page.Words[i+1:] {
				across := min(a.XMax, b.XMax) - max(a.XMin, b.XMin)
				down := min(a.YMax, b.YMax) - max(a.YMin, b.YMin)
				if across > 0.5 && down > 0.35*min(a.YMax-a.YMin, b.YMax-b.YMin) {
					t.Errorf("%s: page %d: %q is printed on %q", name, n+1, a.Text, b.Text)
				}
			}
		}
	}
	if words < 60 || len(doc.Pages) > most {
		t.Errorf("%s: %d words on %d pages", name, words, len(doc.Pages))
	}
}

// scans are what zbarimg reads from the pictures of a PDF, sorted. It misses a code now and then, as a scanner does: while there are fewer
// than wanted, it looks at another resolution.
func scans(t *testing.T, file string, wanted int) []string {
	t.Helper()
	var all []string
	for _, dots := range []string{"250", "400"} {
		if len(all) >= wanted {
			break
		}
		stem := strings.TrimSuffix(file, ".pdf") + dots
		judge(t, "pdftoppm", "-r", dots, "-gray", "-png", file, stem)
		list, err := filepath.Glob(stem + "-*.png")
		if err != nil || len(list) == 0 {
			t.Fatalf("%v, %v", list, err)
		}
		all = append(all, strings.Fields(judge(t, "zbarimg", append([]string{"-q", "--raw", "--nodbus"}, list...)...))...)
		slices.Sort(all)
		all = slices.Compact(all)
	}
	return all
}

// TestScannedReceipt: what zbarimg reads from the picture of a receipt is the receipt.
func TestScannedReceipt(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for _, size := range paper.Sizes() {
		t.Run(string(size), func(t *testing.T) {
			t.Parallel()
			r := sample()
			r.Number, r.Copy, r.Pending, r.Language = "R-DESK2-17", true, true, "de" // long lines beside the code
			read := scans(t, write(t, "receipt.pdf", pdf(t, p, r, size)), 1)
			want := paper.Scan{Kind: paper.ScanReceipt, Value: r.Number, Checkpoint: r.Checkpoint}
			if len(read) != 1 || p.Scan(read[0]) != want {
				t.Errorf("got %q", read)
			}
		})
	}
}

// TestScannedLabels: what zbarimg reads from each layout's labels is what they say, and nothing but.
func TestScannedLabels(t *testing.T) {
	t.Parallel()
	p := open(t, nil)
	for _, o := range []paper.Stickers{
		{Layout: "avery-l4731", Skip: 5}, {Layout: "avery-l7651"}, {Layout: "brother-dk11221"}, {Layout: "dymo-11354"},
		{Layout: "avery-l7160", Template: "code128"}, {Layout: "brother-dk11209", Template: "code128"},
	} {
		t.Run(fmt.Sprintf("%s %s", o.Layout, o.Template), func(t *testing.T) {
			t.Parallel()
			var want []string
			var list []paper.Label
			for n := range 3 {
				s := sample().Token
				s.StockNumber, s.Serial = fmt.Sprintf("A-%05d", n+1), s.Serial+7
				want = append(want, s.StockNumber)
				list = append(list, paper.Label{Subject: s, Batch: "7"})
			}
			list = append(list, paper.Label{Subject: paper.Subject{Serial: 4294967295, PublicID: strings.Repeat("vvccccbeiggg"[:8], 4)}})
			want = append(want, "4294967295")
			var b bytes.Buffer
			if err := p.LabelPDF(&b, o, list); err != nil {
				t.Fatal(err)
			}
			file := write(t, "labels.pdf", b.Bytes())
			got := scans(t, file, len(want))
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if text := judge(t, "pdftotext", file, "-"); !strings.Contains(text, "A-00003") || !strings.Contains(text, "vvccccbeiggg") || !strings.Contains(text, "20411740") {
				t.Errorf("got %s", text)
			}
		})
	}
}
