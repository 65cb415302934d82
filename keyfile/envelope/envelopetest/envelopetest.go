// Package envelopetest is what the tests of the envelopes share: the law that a message is used whole or not at all, and the
// foreign programs that judge.
package envelopetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/envelope"
	"github.com/tokendesk/tokendesk/keyfile/secret"
)

// Open is the opener under test.
type Open func(src io.ReadSeeker) (io.Reader, envelope.Info, error)

// Answers is an Ask that knows these answers; the means that is missing is keyfile.ErrLocked.
func Answers(answers map[keyfile.Means]string) keyfile.Ask {
	return func(n keyfile.Need) (secret.Bytes, error) {
		if text, ok := answers[n.Means]; ok {
			return secret.Copy([]byte(text)), nil
		}
		return secret.Bytes{}, keyfile.ErrLocked
	}
}

// ReadAll opens a message and reads it to its end.
func ReadAll(open Open, message []byte) ([]byte, envelope.Info, error) {
	r, info, err := open(bytes.NewReader(message))
	if err != nil {
		return nil, info, err
	}
	out, err := io.ReadAll(r)
	return out, info, err
}

// AssertOpens fails the test unless the message holds want.
func AssertOpens(t *testing.T, name string, open Open, message, want []byte) envelope.Info {
	t.Helper()
	got, info, err := ReadAll(open, message)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d of %d bytes, %v", name, len(got), len(want), err)
	}
	return info
}

// AssertWhole fails the test if a changed, cut or lengthened message yields a single byte. It changes one bit of every step-th
// byte and cuts there. benign says of a changed message that the change cannot matter, such as one of a blank.
func AssertWhole(t *testing.T, name string, open Open, message, clearText []byte, step int, benign func(changed []byte, at int) bool) {
	t.Helper()
	AssertOpens(t, name, open, message, clearText)
	refused := func(what string, changed []byte) {
		t.Helper()
		if r, _, err := open(bytes.NewReader(changed)); err == nil {
			got, err := io.ReadAll(r)
			t.Errorf("%s: %s: %d bytes are handed out (%v)", name, what, len(got), err)
		}
	}
	for i := 0; i < len(message); i += step {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(message)
			changed[i] ^= bit
			if !benign(changed, i) {
				refused(fmt.Sprintf("bit %#x of byte %d of %d changed", bit, i, len(message)), changed)
			}
		}
		if cut := message[:i]; !bytes.Equal(bytes.TrimSpace(cut), bytes.TrimSpace(message)) {
			refused(fmt.Sprintf("cut at %d of %d", i, len(message)), cut)
		}
	}
	refused("something behind", append(bytes.Clone(message), "something"...))
	refused("twice", append(bytes.Clone(message), message...))
}

// Judge is the path of a foreign program, run by the tests. It is skipped where the program is not installed, and fails there
// if TOKENDESK_JUDGES is 1.
func Judge(t *testing.T, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err == nil {
		return path
	}
	if os.Getenv("TOKENDESK_JUDGES") == "1" {
		t.Fatalf("%s is not installed, and TOKENDESK_JUDGES is 1", program)
	}
	t.Skipf("%s is not installed", program)
	return ""
}

// Run runs a program and returns what it wrote to stdout, and to stderr.
func Run(t *testing.T, stdin []byte, env []string, path string, args ...string) (stdout, stderr []byte, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(stdin), &out, &errs, append(os.Environ(), env...)
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}
