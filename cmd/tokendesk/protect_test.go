package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// TestPassphraseIsTypedTwice: asked for at a terminal, a passphrase is taken when both inputs are the same.
func TestPassphraseIsTypedTwice(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		typed []string
		code  exitCode
		said  string
	}{
		{[]string{"correct horse", "correct horse"}, exitDone, "decrypted, read again and compared"},
		{[]string{"correct horse", "correct house"}, exitUsage, "the two passphrases differ"},
		{[]string{"", ""}, exitUsage, "no passphrase was typed"},
		{[]string{"correct horse"}, exitError, "interrupted"},
	} {
		r := newRig(t, 2)
		r.must("init")
		r.must("provision", "--slot", "2")
		r.stdinTTY = true
		left := tc.typed
		r.readSecret = func(context.Context) (string, error) {
			if len(left) == 0 {
				return "", context.Canceled
			}
			word := left[0]
			left = left[1:]
			return word, nil
		}
		code := r.run("keyfile", "export", "--format", "pskc", "--passphrase-file", "prompt", "--out", filepath.Join(t.TempDir(), "keys.xml"))
		if code != tc.code || !strings.Contains(r.err.String(), tc.said) || strings.Contains(r.err.String(), "horse") {
			t.Errorf("%q: exit code %d\n%s", tc.typed, code, r.err.String())
		}
	}
}

// TestKeyIsNeverLost: without randomness there is no key, and no file.
func TestKeyIsNeverLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("provision", "--slot", "2")
	dir := t.TempDir()
	r.rand = failingReader{}
	for _, words := range [][]string{
		{"--format", "pskc", "--psk-out", filepath.Join(dir, "psk")}, {"--format", "pi-json", "--psk-out", filepath.Join(dir, "psk")}, {"--format", "pi-json"},
	} {
		if code := r.run(append([]string{"keyfile", "export", "--out", filepath.Join(dir, "out")}, words...)...); code != exitError {
			t.Errorf("%q: exit code %d", words, code)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, errors.New("no entropy") }
