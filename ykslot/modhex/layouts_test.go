package modhex

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write layouts.txt anew")

// TestLayoutsAreThoseOfXkbData compiles every layout and variant of xkb-data by libxkbcommon again. Another version of xkb-data
// than the table's may differ in a few layouts, not in many.
func TestLayoutsAreThoseOfXkbData(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "python3", "testdata/layouts.py")
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	out, err := cmd.Output()
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatalf("python3, libxkbcommon or xkb-data is missing, and TOKENDESK_JUDGES is 1: %v", err)
		}
		t.Skipf("python3, libxkbcommon or xkb-data is missing: %v", err)
	}
	now := gather(string(out))
	if *update {
		if err := os.WriteFile("layouts.txt", []byte(now), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if parseLayouts(now).version == keymaps().version {
		if now != layoutText {
			t.Error("layouts.txt differs from xkb-data of its own version: go test -run Layouts -update")
		}
		return
	}
	known := map[string]bool{}
	for _, l := range keymaps().all {
		known[string(l.keys[:len(Alphabet)])] = true
	}
	fresh, all := 0, parseLayouts(now).all
	for _, l := range all {
		if !known[string(l.keys[:len(Alphabet)])] {
			fresh++
			t.Logf("new: %s", l)
		}
	}
	if fresh > len(all)/10 {
		t.Errorf("%d of %d layouts are not in layouts.txt: go test -run Layouts -update", fresh, len(all))
	}
}

// gather puts the layouts that type the same into one line.
func gather(out string) string {
	version, rest, _ := strings.Cut(out, "\n")
	var order []string
	names := map[string][]string{}
	for line := range strings.Lines(rest) {
		name, columns, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if names[columns] == nil {
			order = append(order, columns)
		}
		names[columns] = append(names[columns], name)
	}
	var b bytes.Buffer
	b.WriteString(version + "\n")
	for _, columns := range order {
		b.WriteString(columns + "\t" + strings.Join(names[columns], "\t") + "\n")
	}
	return b.String()
}

// TestLayoutFacts holds the numbers that the documents name, for xkb-data 2.35.1.
func TestLayoutFacts(t *testing.T) {
	t.Parallel()
	var pairs, letters, figures, both, broken int
	damaged := map[string]bool{}
	for _, l := range Layouts() {
		if l.Level != Plain {
			continue
		}
		pairs++
		keys := string(l.keys[:])
		a, d := strings.HasPrefix(keys, Alphabet), strings.HasSuffix(keys, digits)
		letters, figures, both = letters+count(a), figures+count(d), both+count(a && d)
		if key := string(l.keys[:len(Alphabet)]); !a && !damaged[key] {
			damaged[key] = true
			broken += count(repeats([]rune(key)) || strings.ContainsRune(key, nothing))
		}
	}
	got := []int{pairs, letters, figures, both, len(damaged), broken}
	if want := []int{577, 272, 374, 208, 157, 15}; !slices.Equal(got, want) {
		t.Errorf("pairs, that keep ModHex, digits, both; damaged alphabets, not one-to-one of them: %v, want %v", got, want)
	}
	k := keymaps()
	t.Logf("with Caps Lock and Shift: %d ModHex alphabets and %d unclear ones, %d digit rows and %d unclear ones", len(k.letters.clear), len(k.letters.unclear), len(k.figures.clear), len(k.figures.unclear))
}

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestEveryLayout types a hundred texts on every layout, with every level.
func TestEveryLayout(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var unclear, most int
	for _, l := range Layouts() {
		if keys := l.keys[:len(Alphabet)]; repeats(keys) || slices.Contains(keys, nothing) {
			unclear++
			if typed, ok := l.Type(Alphabet); ok && !slices.ContainsFunc(Unclear(typed), func(u Layout) bool { return u == l }) {
				t.Errorf("%s is not named as unclear", l)
			}
			continue
		}
		for range 100 {
			want := pick(random, Alphabet, 44)
			typed, ok := l.Type(want)
			list := Variants(typed)
			most = max(most, len(list))
			i := slices.IndexFunc(list, func(v Variant) bool { return v.Text == want })
			if !ok || i < 0 || !slices.Contains(list[i].Layouts, l) {
				t.Fatalf("%s: %d variants, the right one is %d", l, len(list), i)
			}
		}
	}
	if unclear == 0 || most > 10 {
		t.Errorf("%d unclear, at most %d variants", unclear, most)
	}
	t.Logf("%d layouts with levels, %d unclear, at most %d readings of one text", len(Layouts()), unclear, most)
}

func TestEveryDigitRow(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for _, l := range Layouts() {
		if keys := l.keys[len(Alphabet):]; repeats(keys) || slices.Contains(keys, nothing) {
			continue
		}
		for range 20 {
			want := pick(random, digits, 6)
			typed, ok := l.Type(want)
			list := DigitVariants(typed)
			i := slices.IndexFunc(list, func(v Variant) bool { return v.Text == want })
			if !ok || i < 0 || !slices.Contains(list[i].Layouts, l) {
				t.Fatalf("%s: %d variants, the right one is %d", l, len(list), i)
			}
		}
	}
}

func pick(random *rand.Rand, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[random.IntN(len(alphabet))]
	}
	return string(b)
}

// TestMostVariants looks for the text with the most readings: a character that is in many alphabets, and two of them.
func TestMostVariants(t *testing.T) {
	t.Parallel()
	f, most := &keymaps().letters, 0
	for r := range f.of {
		most = max(most, len(Variants(strings.Repeat(string(r), 32))))
		for s := range f.of {
			most = max(most, len(Variants(strings.Repeat(string(r)+string(s), 16))))
		}
	}
	if most < 2 || most > 20 {
		t.Errorf("%d", most)
	}
	t.Logf("two different characters have at most %d readings", most)
}

func TestVariants(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want, layout string }{
		"as typed":      {"cbdefghijklnrtuv", Alphabet, "English (US)"},
		"caps lock":     {"CBDEFGHIJKLNRTUV", Alphabet, "Caps Lock"},
		"dvorak":        {"jxe.uidchtnbpygk", Alphabet, "English (Dvorak)"},
		"dvorak mixed":  {"JXE.uidchtnbpygk", Alphabet, "English (Dvorak)"},
		"dvorak shift":  {"JXE>UIDCHTNBPYGK", Alphabet, "English (Dvorak), Shift"},
		"turkish":       {"cbdefghıjklnrtuv", Alphabet, "Turkish"},
		"russian":       {"сивуапршолдткегм", Alphabet, "Russian"},
		"turkish upper": {"CBDEFGHIJKLNRTUV", Alphabet, "Turkish, Caps Lock"},
	} {
		list := Variants(tc.in)
		if len(list) == 0 || list[0].Text != tc.want {
			t.Errorf("%s: %+v", name, list)
			continue
		}
		var all []string
		for _, l := range list[0].Layouts {
			all = append(all, l.String())
		}
		if !strings.Contains(strings.Join(all, "\n"), tc.layout) {
			t.Errorf("%s: %s", name, Names(list[0].Layouts))
		}
	}
	for _, in := range []string{"", "ccccx!ж", strings.Repeat("c", 65), strings.Repeat("c", 5000), "\xff\xfe"} {
		if list := Variants(in); len(list) != 0 {
			t.Errorf("%d runes: %d variants", utf8.RuneCountInString(in), len(list))
		}
	}
	if got := DigitVariants("à&é\"'("); len(got) == 0 || got[0].Text != "012345" || !strings.Contains(Names(got[0].Layouts), "French") {
		t.Errorf("French digits: %+v", got)
	}
	if got := Names(Variants("cc")[0].Layouts); !strings.Contains(got, " or one of ") || strings.Count(got, " or ") != 3 {
		t.Error(got)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in, want string
		changes  []string
	}{
		"nothing":       {"vvcc.ж", "vvcc.ж", nil},
		"full width":    {"ｖｖｃｃ１２", "vvcc12", []string{FullWidth}},
		"zero width":    {"vv\u200bcc\ufeff", "vvcc", []string{Invisible}},
		"no-break":      {"vv\u00a0cc\u3000", "vvcc", []string{Spaces}},
		"newline":       {"vvcc\r\n", "vvcc", []string{LineBreak}},
		"blanks":        {"12 34 56", "123456", []string{Blanks}},
		"dotted I":      {"\u0130i\u0307", "ii", []string{TurkishI}},
		"soft hyphen":   {"vv\u00adcc\ufe0f", "vvcc", []string{Invisible}},
		"two, in order": {"\ufeffｃ \ufeff", "c", []string{Invisible, FullWidth, Blanks}},
	} {
		got, changes := Clean(tc.in)
		if got != tc.want || !slices.Equal(changes, tc.changes) {
			t.Errorf("%s: %q, %q", name, got, changes)
		}
	}
}

// FuzzVariants: typing a variant on each of its layouts gives the text again, but for the case of ASCII letters.
func FuzzVariants(f *testing.F) {
	for _, s := range []string{"", Alphabet, "jxe.uidchtnbpygk", "JXE>", "сивуапршолдтк", "cbdefghıjkl", "ü", "\xff", "à&é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, list := range [][]Variant{Variants(s), DigitVariants(s)} {
			if len(list) > MaxVariants {
				t.Fatalf("%d variants", len(list))
			}
			seen := map[string]bool{}
			for _, v := range list {
				if seen[v.Text] || len(v.Layouts) == 0 {
					t.Fatal("a variant twice, or of no layout")
				}
				seen[v.Text] = true
				for _, l := range v.Layouts {
					if typed, ok := l.Type(v.Text); !ok || lower(typed) != lower(s) {
						t.Fatalf("%s types something else", l)
					}
				}
			}
		}
		clean, changes := Clean(s)
		again, more := Clean(clean)
		if again != clean || len(more) > 0 || len(changes) == 0 && clean != strings.ToValidUTF8(s, "\uFFFD") && utf8.ValidString(s) {
			t.Fatal("cleaning again changes more")
		}
	})
}
