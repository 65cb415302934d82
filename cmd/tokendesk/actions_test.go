package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestActionsRun runs the command of every cause of the diagnosis as it is shown, with what stands in capitals filled in: none is misused.
func TestActionsRun(t *testing.T) {
	t.Parallel()
	var actions []string
	for _, name := range []string{"catalogue.go", "recognisecode.go", "recogniseotp.go"} {
		source, err := os.ReadFile(filepath.Join("..", "..", "validate", "diagnose", name))
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(`"tokendesk ([a-z][^"]*)"`).FindAllStringSubmatch(string(source), -1) {
			actions = append(actions, found[1])
		}
	}
	if len(actions) < 25 {
		t.Fatalf("%d actions", len(actions))
	}
	r := newRig(t, 2)
	r.must("init")
	r.must("person", "add", "ada")
	r.must("provision", "--slot", "2", "--to", "ada")
	fill := strings.NewReplacer("QUERY", "7654321", "SLOT", "2", "ACCOUNT", "ada", "KIND", "known", "URL", "https://desk.example.org")
	for _, action := range actions {
		words := strings.Fields(fill.Replace(action))
		if words[0] == "serve" {
			words = append(words, "--help") // it would wait for requests
		}
		r.stdin = strings.NewReader(r.typed(2) + "\n" + r.typed(2) + "\n")
		r.err.Reset()
		if code := r.run(words...); code == exitUsage {
			t.Errorf("tokendesk %s: %s", strings.Join(words, " "), r.err.String())
		}
	}
}
