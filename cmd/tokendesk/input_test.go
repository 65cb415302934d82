package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// endless never ends: it gives text again and again, or nothing at all if that is empty. The context is ended in the middle.
type endless struct {
	text   string
	reads  int
	cancel context.CancelFunc
	block  chan struct{}
}

func (e *endless) Read(p []byte) (int, error) {
	if e.reads++; e.reads == 50 || e.text == "" {
		e.cancel()
	}
	if e.text == "" {
		<-e.block
	}
	n := 0
	for n+len(e.text) <= len(p) {
		n += copy(p[n:], e.text)
	}
	return n, nil
}

// TestReadingEndsWithTheContext: a signal ends a command that waits for a pipe, and one that reads a file without end.
func TestReadingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		text  string
		words []string
	}{
		{"", []string{"keyfile", "import", "-"}},
		{"", []string{"person", "import", "-"}},
		{"", []string{"audit", "verify", "-"}},
		{"", []string{"verify"}},
		{"no key\n", []string{"keyfile", "import", "-", "--format", "ksm"}},
		{"\x00", []string{"keyfile", "import", "-", "--format", "yubico-csv"}},
		{"\x00", []string{"keyfile", "import", "-", "--format", "pskc"}},
		{"account\n", []string{"person", "import", "-"}},
	} {
		t.Run(fmt.Sprintf("%q %s", tc.text, strings.Join(tc.words, " ")), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1)
			r.must("init")
			in := &endless{text: tc.text, block: make(chan struct{})}
			t.Cleanup(func() { close(in.block) })
			r.notify = func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				in.cancel = cancel
				return ctx, cancel
			}
			r.stdin = in
			// A decoder may refuse the endless bytes before the signal comes; it must only not go on.
			if code := r.run(tc.words...); code != exitError && (tc.text != "\x00" || code != exitUsage) {
				t.Errorf("exit code %d\n%s", code, r.err.String())
			}
			if tc.text == "" && !strings.Contains(r.err.String(), "tokendesk: interrupted") {
				t.Error(r.err.String())
			}
		})
	}
}

// TestUnreadableFile: a file that no codec can read is the operator's to change, also when its format was named.
func TestUnreadableFile(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	for _, tc := range []struct{ name, format, text, want string }{
		{"utf-16", "yubico-csv", "\xff\xfe1\x00,\x00", "UTF-16"},
		{"utf-16 guessed", "", "\xff\xfe1\x00,\x00", "UTF-16"},
		{"cut openpgp", "ksm", "-----BEGIN PGP MESSAGE-----\n", "damaged, cut or changed"},
		{"newer ksm", "ksm", "# ykksm 2\n", "another version"},
		{"newer ksm guessed", "", "# ykksm 2\n1,2\n", ""},
		{"no xml", "pskc", "<html></html>", "KeyContainer"},
		{"empty xml", "pskc", "<!--", ""},
		{"nothing in it", "yubico-csv", "\n\n", "holds no record"},
	} {
		path := filepath.Join(t.TempDir(), "in")
		if err := os.WriteFile(path, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.err.Reset()
		code := r.run("keyfile", "import", path, "--format", tc.format)
		if code != exitUsage || !strings.Contains(r.err.String(), tc.want) || strings.Count(r.err.String(), "tokendesk: ") != 1 {
			t.Errorf("%s: exit code %d\n%s", tc.name, code, r.err.String())
		}
	}
}

// TestImportTellsTheFirst: of many bad rows the first are told and the rest is a number.
func TestImportTellsTheFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	r.stdin = strings.NewReader("account\nada\n" + strings.Repeat("too,many\n", 5000))
	if code := r.run("person", "import", "-"); code != exitPartly {
		t.Errorf("exit code %d", code)
	}
	said := r.err.String()
	if !strings.Contains(said, "5000 rows refused") || !strings.Contains(said, "and 4980 more") || strings.Count(said, "\n") > mostShown+10 {
		t.Error(said)
	}
}

// A name that came from elsewhere must not steer the terminal.
func TestFileProblemPrintable(t *testing.T) {
	t.Parallel()
	if got := fileProblem(os.ErrNotExist, "a\x1b[2Jb").Error(); strings.ContainsRune(got, '\x1b') {
		t.Errorf("%q", got)
	}
}
