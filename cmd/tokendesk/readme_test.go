package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme runs the README's transcript: what it shows after a command is how that command's output begins. Comments in it
// say when the key is touched.
func TestReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(text), "```console\n")
	block, _, closed := strings.Cut(block, "```\n")
	if !found || !closed {
		t.Fatal("README.md has no console block")
	}
	r := newRig(t, 2)
	var said bytes.Buffer
	r.stdout, r.stderr = &said, &said
	otp, ran := "", 0
	for command := range strings.SplitSeq(strings.TrimPrefix(block, "$ "), "\n$ ") {
		line, want, _ := strings.Cut(strings.TrimSuffix(command, "\n"), "\n")
		line, remark, _ := strings.Cut(line, "#")
		if strings.Contains(remark, "touched") {
			otp = r.typed(2)
		}
		r.stdin = strings.NewReader(otp)
		said.Reset()
		r.run(shellWords(t, line)[1:]...)
		got := strings.ReplaceAll(said.String(), "VIRTUAL ", "")
		if !strings.HasPrefix(squeeze(got), squeeze(want)) {
			t.Errorf("%s\nthe README says:\n%s\nthe program says:\n%s", line, want, got)
		}
		ran++
	}
	if ran < 5 {
		t.Errorf("only %d commands were found", ran)
	}
}

// shellWords splits a line at blanks outside single quotes.
func shellWords(t *testing.T, line string) []string {
	t.Helper()
	var words []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			words = append(words, part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	if len(words) == 0 || words[0] != "tokendesk" {
		t.Fatalf("not a call of tokendesk: %q", line)
	}
	return words
}

// squeeze drops trailing blanks of lines.
func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}
