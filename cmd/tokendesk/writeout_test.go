package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/agefile"
	"github.com/tokendesk/tokendesk/keyfile/sample"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/keyfile/yubicocsv"
)

// protections of a test: in clear, a message that nobody here opens, and one that is opened again.
func testProtections(c keyfile.Codec) map[string]protection {
	word := secret.Copy([]byte("correct horse"))
	seal := func(w io.Writer) (io.WriteCloser, error) { return agefile.SealPassphrase(w, word) }
	open := func(f io.ReadSeeker) (io.Reader, error) {
		r, _, err := agefile.Open(f, func(keyfile.Need) (secret.Bytes, error) { return word.Clone(), nil })
		return r, err
	}
	return map[string]protection{
		"in clear": {codec: c}, "for others": {codec: c, seal: seal}, "opened again": {codec: c, seal: seal, open: open},
	}
}

// TestExportLeavesNothing: a key file that could not be finished is removed; one that exists is left alone.
func TestExportLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("the store went away")
	for what, p := range testProtections(yubicocsv.Codec{}) {
		name := filepath.Join(t.TempDir(), "keys.csv")
		w := writing{protect: p}
		for _, before := range [][]keyfile.Record{nil, {sample.First()}} {
			records := func(yield func(keyfile.Record, error) bool) {
				for _, r := range before {
					if !yield(r, nil) {
						return
					}
				}
				yield(keyfile.Record{}, broken)
			}
			if err := w.file(name, records); !errors.Is(err, broken) {
				t.Errorf("%s: %v, want %v", what, err, broken)
			}
			if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: the file is there: %v", what, err)
			}
		}
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		var refused *problem
		if err := w.file(name, keyfile.All(nil)); !errors.As(err, &refused) || refused.code != exitRefused {
			t.Errorf("%s: %v, want a refusal", what, err)
		}
		if text, err := os.ReadFile(name); err != nil || string(text) != "mine" {
			t.Errorf("%s: %q, %v", what, text, err)
		}
	}
}

// spoiling is a format whose encoder writes another key.
type spoiling struct{ yubicocsv.Codec }

func (s spoiling) NewEncoder(w io.Writer) keyfile.Encoder {
	return spoilingEncoder{s.Codec.NewEncoder(w)}
}

type spoilingEncoder struct{ keyfile.Encoder }

func (s spoilingEncoder) Encode(r keyfile.Record) error {
	r.Key = sample.Hex(strings.Repeat("0f", keyfile.KeySize))
	return s.Encoder.Encode(r)
}

// TestExportIsCompared: what comes out wrong is found in every way of writing, and removed.
func TestExportIsCompared(t *testing.T) {
	t.Parallel()
	for what, p := range testProtections(spoiling{}) {
		name := filepath.Join(t.TempDir(), "keys.csv")
		var differs *keyfile.MismatchError
		err := writing{protect: p}.file(name, keyfile.All([]keyfile.Record{sample.First(), sample.Second()}))
		if !errors.As(err, &differs) || differs.Field != "key" {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: the file is there: %v", what, err)
		}
	}
	for what, p := range testProtections(yubicocsv.Codec{}) {
		name := filepath.Join(t.TempDir(), "keys.csv")
		if err := (writing{protect: p}).file(name, keyfile.All([]keyfile.Record{sample.First(), sample.Second()})); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}
