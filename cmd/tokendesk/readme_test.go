package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReadmeTranscript runs the README's transcript, word for word, on a virtual key: each line that it shows is printed.
func TestReadmeTranscript(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```console\n")
	block, _, found := strings.Cut(block, "```\n")
	if !found || strings.Count(block, "$ tokendesk ") < 5 {
		t.Fatal("the README has no transcript")
	}
	r := newRig(t, 2)
	otp := ""
	for _, part := range strings.Split(block, "$ tokendesk ")[1:] {
		command, shown, _ := strings.Cut(part, "\n")
		command, remark, _ := strings.Cut(command, "#")
		if strings.Contains(remark, "is touched") {
			otp = r.typed(2)
		}
		r.stdin = strings.NewReader(otp)
		r.out.Reset()
		r.err.Reset()
		code := r.run(shellWords(command)...)
		if refused := strings.Contains(shown, "tokendesk: "); refused == (code == exitDone) {
			t.Errorf("tokendesk %s: exit code %d", command, code)
		}
		said := "\n" + r.err.String() + r.out.String()
		for line := range strings.Lines(shown) {
			if !strings.Contains(said, "\n"+line) {
				t.Errorf("tokendesk %s: does not say %q but\n%s", command, line, said)
			}
		}
	}
}

// TestReadmeCommands: each command that the README prints is one of the program, with flags and arguments that it takes.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for i, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, " #")
		for command := range strings.SplitSeq(strings.ReplaceAll(strings.ReplaceAll(line, "&&", "|"), "\"", "'"), "|") {
			words := shellWords(command)
			if len(words) > 0 && words[0] == "$" {
				words = words[1:]
			}
			if len(words) < 2 || words[0] != "tokendesk" || strings.HasPrefix(line, "tokendesk: ") || strings.HasPrefix(line, "tokendesk is") || strings.HasPrefix(line, " tokendesk desk ·") {
				continue
			}
			seen++
			if at := slices.IndexFunc(words, func(w string) bool { return w == ">" || w == "<" }); at > 0 {
				words = words[:at]
			}
			cmd, rest, err := newRootCmd(&app{env: &env{}}).Find(words[1:])
			if err == nil {
				err = cmd.ParseFlags(rest)
			}
			if err == nil {
				err = cmd.ValidateArgs(cmd.Flags().Args())
			}
			if err != nil {
				t.Errorf("README.md:%d: %s: %v", i+1, strings.TrimSpace(command), err)
			}
		}
	}
	if seen < 100 {
		t.Errorf("the README has %d commands", seen)
	}
}

// shellWords splits at spaces outside single quotes.
func shellWords(s string) []string {
	var words []string
	for i, piece := range strings.Split(s, "'") {
		if i%2 == 1 {
			words = append(words, piece)
			continue
		}
		words = append(words, strings.Fields(piece)...)
	}
	return words
}
