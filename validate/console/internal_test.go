package console

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
)

func TestSecretLike(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"ada": false, "Ada Lovelace": false, "ada@example.org": false, "vvcccbcdcecf": false, "4711-0032": false, "12345": false,
		"123456": true, "123 456": true, "12345678": true, "1234567890123": true, "7KM4-Q2X9": true, "7km4q2x9": true, "7KM4Q-2X9AB": true, "2X9ABC": true,
		"schubert": true, "becker": true, strings.Repeat("cbdefghijklnrtuv", 2): true, strings.Repeat("c", 44): true,
	} {
		if secretLike(text) != want {
			t.Errorf("%q: %v", text, !want)
		}
	}
}

func TestLanguage(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"": "en", "de": "de", "de-AT,de;q=0.9,en;q=0.8": "de", "en-GB,de;q=0.9": "en", "fr,de;q=0.5,en;q=0.3": "de", "fr": "en", "*": "en",
		"en;q=0.1, DE;q=0.2": "de", "de;q=0": "en", "de;q=x": "en", ";;;,,,": "en", "de;q=NaN": "en",
	} {
		if got := language(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
}

// FuzzLanguage: whatever a browser sends, it is one of ours.
func FuzzLanguage(f *testing.F) {
	for _, s := range []string{"", "de-DE,de;q=0.9", "en;q=1e400", "de;q=-1,en;q="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !slices.Contains(languages, language(s)) {
			t.Fatalf("%q", language(s))
		}
	})
}

// TestEveryWordInEveryLanguage: what the public pages call exists in each, and nothing is left over.
func TestEveryWordInEveryLanguage(t *testing.T) {
	t.Parallel()
	frame, err := fs.ReadFile(files, "pages/enroll.html")
	if err != nil {
		t.Fatal(err)
	}
	names := func(re, text string) []string {
		var out []string
		for _, m := range regexp.MustCompile(re).FindAllStringSubmatch(text, -1) {
			out = append(out, m[1])
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	own := names(`{{define "([^"]+)"`, string(frame))
	called := slices.DeleteFunc(names(`{{template "([^"]+)"`, string(frame)), func(n string) bool { return slices.Contains(own, n) })
	for _, l := range languages {
		text, err := fs.ReadFile(files, "pages/enroll."+l+".html")
		if err != nil {
			t.Fatal(err)
		}
		if got := names(`{{define "([^"]+)"`, string(text)); !slices.Equal(got, called) {
			t.Errorf("%s has %q, want %q", l, got, called)
		}
	}
}

// TestEveryStateHasAPage: no state of a link and no proof is without its sentence.
func TestEveryStateHasAPage(t *testing.T) {
	t.Parallel()
	states, proofs := constants(t, "LinkState"), constants(t, "Proof")
	if len(states) < 8 || len(proofs) < 7 {
		t.Fatalf("%d states, %d proofs", len(states), len(proofs))
	}
	for _, s := range states {
		at, ok := linkPages[desk.LinkState(s)]
		for _, l := range languages {
			if !ok || parsePages().enroll[l].Lookup("page-"+at.name) == nil {
				t.Errorf("%s: no page for %q", l, s)
			}
		}
	}
	for _, p := range proofs {
		if desk.Proof(p) != desk.Proven && notProven[desk.Proof(p)] == "" {
			t.Errorf("no sentence for %q", p)
		}
	}
}

// constants are the values of a string type in package desk.
func constants(t *testing.T, name string) (out []string) {
	t.Helper()
	paths, err := filepath.Glob("../../provision/desk/*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		p, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(p, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			id, isType := v.Type.(*ast.Ident)
			lit, isText := v.Values[0].(*ast.BasicLit)
			if isType && isText && id.Name == name {
				out = append(out, strings.Trim(lit.Value, `"`))
			}
			return true
		})
	}
	return out
}

// TestNoTemplateNamesAnUnknownRoute: Can is an error for a name that no route has.
func TestNoTemplateNamesAnUnknownRoute(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	for _, rt := range routes() {
		known[rt.name] = true
	}
	seen := 0
	err := fs.WalkDir(files, "pages", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(files, path)
		for _, m := range regexp.MustCompile(`Can "([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
			if seen++; !known[m[1]] {
				t.Errorf("%s asks for %q", path, m[1])
			}
		}
		return err
	})
	if err != nil || seen == 0 {
		t.Errorf("%d, %v", seen, err)
	}
	if _, err := (page{}).Can("nothing"); err == nil {
		t.Error("an unknown name is no error")
	}
}

// TestValidity: until tonight is today's end, and never less than an hour.
func TestValidity(t *testing.T) {
	t.Parallel()
	zone := time.FixedZone("", 2*60*60)
	for _, c := range []struct {
		value string
		hour  int
		want  time.Duration
	}{{"1h", 9, time.Hour}, {"72h", 9, desk.MaxTempTime}, {"24h", 9, 24 * time.Hour}, {tonight, 9, 15*time.Hour - time.Minute}, {tonight, 23, time.Hour}, {"2h", 9, 0}, {"", 9, 0}} {
		if got := validity(c.value, time.Date(2026, 5, 6, c.hour, 0, 0, 0, zone)); got != c.want {
			t.Errorf("%q at %d: %v, want %v", c.value, c.hour, got, c.want)
		}
	}
	for _, c := range valids() {
		if d := validity(c.Value, time.Unix(0, 0)); d < time.Hour || d > desk.MaxTempTime {
			t.Errorf("%s: %v", c.Value, d)
		}
	}
}

// TestContrast: text on what it stands on, in both colour schemes, by WCAG 2.2 §1.4.3 (4.5 to 1) and §1.4.11 (3 to 1 for fields).
func TestContrast(t *testing.T) {
	t.Parallel()
	css, err := fs.ReadFile(files, "pages/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "prefers-color-scheme: dark")
	if !ok {
		t.Fatal("there is no dark scheme")
	}
	for scheme, text := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{"white": luminance("ffffff")}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(text, -1) {
			colour[m[1]] = luminance(m[2])
		}
		for _, pair := range []struct {
			on, text string
			least    float64
		}{
			{"ground", "text", 4.5}, {"card", "text", 4.5}, {"ground", "quiet", 4.5}, {"card", "quiet", 4.5}, {"ground", "accent", 4.5}, {"card", "accent", 4.5},
			{"accent-ground", "accent", 4.5}, {"accent-ground", "text", 4.5}, {"good-ground", "good", 4.5}, {"good-ground", "text", 4.5},
			{"warn-ground", "warn", 4.5}, {"warn-ground", "text", 4.5}, {"warn-ground", "quiet", 4.5}, {"bad-ground", "bad", 4.5}, {"bad-ground", "text", 4.5},
			{"bad-ground", "quiet", 4.5}, {"accent", "on-strong", 4.5}, {"danger", "white", 4.5}, {"card", "field", 3}, {"ground", "field", 3},
		} {
			a, okA := colour[pair.on]
			b, okB := colour[pair.text]
			if got := (max(a, b) + 0.05) / (min(a, b) + 0.05); !okA || !okB || got < pair.least {
				t.Errorf("%s: %s on %s: %.2f to 1, want %.1f", scheme, pair.text, pair.on, got, pair.least)
			}
		}
	}
}

// luminance is the relative luminance of a colour, 0 to 1. Source: WCAG 2.2, glossary.
func luminance(hex string) float64 {
	n, _ := strconv.ParseUint(hex, 16, 32) // six digits
	sum := 0.0
	for i, weight := range []float64{0.0722, 0.7152, 0.2126} {
		c := float64(n>>(8*i)&0xff) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}
