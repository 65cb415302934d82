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

// AssertWhole fails the test if a changed or cut message yields anything but the whole clear text, or if more than a tenth of
// the changes are not noticed: some mean nothing, such as a blank for a newline, a length that says more than the file has, or
// the date in front of a signed text. It changes two bits of every step-th byte and cuts there. What has something behind it
// is refused altogether.
func AssertWhole(t *testing.T, name string, open Open, message, clearText []byte, step int) {
	t.Helper()
	AssertOpens(t, name, open, message, clearText)
	tried, unnoticed := 0, 0
	try := func(what string, changed []byte) {
		t.Helper()
		tried++
		r, _, err := open(bytes.NewReader(changed))
		if err != nil {
			return
		}
		unnoticed++
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, clearText) {
			t.Errorf("%s: %s: %d bytes are handed out (%v)", name, what, len(got), err)
		}
	}
	for i := 0; i < len(message); i += step {
		for _, bit := range []byte{1, 0x80} {
			changed := bytes.Clone(message)
			changed[i] ^= bit
			try(fmt.Sprintf("bit %#x of byte %d of %d changed", bit, i, len(message)), changed)
		}
		try(fmt.Sprintf("cut at %d of %d", i, len(message)), message[:i])
	}
	if 10*unnoticed > tried {
		t.Errorf("%s: %d of %d changes are not noticed", name, unnoticed, tried)
	}
	for _, behind := range [][]byte{[]byte("something"), message} {
		if _, _, err := open(bytes.NewReader(append(bytes.Clone(message), behind...))); err == nil {
			t.Errorf("%s: %d bytes behind the message are not noticed", name, len(behind))
		}
	}
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
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(stdin), &out, &errs, append(os.Environ(), env...)
	err = cmd.Run()
	return out.Bytes(), errs.Bytes(), err
}
