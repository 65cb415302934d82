package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/pskc"
	"github.com/tokendesk/tokendesk/keyfile/yubimap"
)

// readmeFormats is the README's table: equal rows are one. The formats that are only read follow.
func readmeFormats() string {
	var out strings.Builder
	out.WriteString("| `--for` | format | kinds | encrypted by | carries, beside the key |\n|---|---|---|---|---|\n")
	names := map[string][]string{}
	var order, read []string
	for _, r := range formatRows() {
		if r.Direction == "I" {
			read = append(read, "`"+r.Format+"`")
			continue
		}
		row := fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.Format, joined(r.Kinds), dash(joined(r.Encrypted)), joined(r.Carries))
		if names[row] == nil {
			order = append(order, row)
		}
		names[row] = append(names[row], dash(r.For))
	}
	for _, row := range order {
		fmt.Fprintf(&out, "| %s %s", strings.Join(names[row], ", "), row)
	}
	fmt.Fprintf(&out, "\nOnly read: %s.\n", strings.Join(read, ", "))
	return out.String()
}

func dash(s string) string {
	if s == "" {
		return "–"
	}
	return s
}

// TestReadmeFormats: the README's table of formats is what the program says of itself.
func TestReadmeFormats(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if want := readmeFormats(); !strings.Contains(string(text), want) {
		t.Errorf("the README does not hold\n%s", want)
	}
}

// TestFormatsAreKnown: the probes reach every format that is written, and tell a mapping from a file of secrets.
func TestFormatsAreKnown(t *testing.T) {
	t.Parallel()
	for _, r := range formatRows() {
		if written := r.Direction == "EI"; written != (len(r.Kinds) > 0) {
			t.Errorf("%s %s: kinds %v", r.For, r.Format, r.Kinds)
		}
	}
	for _, c := range codecs.All() {
		if got, want := holdsSecrets(c), c.Name() != (yubimap.Codec{}).Name(); got != want {
			t.Errorf("%s: holds secrets: %v", c.Name(), got)
		}
	}
	if got := ownProtections(pskc.Codec{}); len(got) != 2 {
		t.Errorf("pskc: %v", got)
	}
}
