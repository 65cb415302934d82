package main

import (
	"context"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
)

// TestNewSlotSecretsAskedTwice: at a terminal a new access code and a new password are set only if they were typed twice alike: a slot with
// a mistyped one is lost.
func TestNewSlotSecretsAskedTwice(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.stdinTTY = true
	var answers []string
	r.readSecret = func(context.Context) (string, error) {
		if len(answers) == 0 {
			t.Fatal("asked once more")
		}
		text := answers[0]
		answers = answers[1:]
		return text, nil
	}
	r.must("init")
	for _, program := range [][]string{
		{"--type", "static", "--layout", "us", "--password-file", "-"},
		{"--type", "hotp", "--access-code", "given", "--new-code-file", "-"},
	} {
		answers = []string{"010203040506", "010203040507"}
		if code := r.run(append([]string{"slot", "program", "--slot", "2"}, program...)...); code != exitUsage || r.key.Slot(2).Kind != vkey.Empty {
			t.Errorf("%q, typed differently: exit code %d", program[1], code)
		}
		r.says("the two that were typed differ")
	}
	r.must("slot", "program", "--slot", "2", "--type", "hotp", "--access-code", "none")
	for _, second := range []string{"a1b2c3d4e5f7", "a1b2c3d4e5f6"} {
		answers = []string{"a1b2c3d4e5f6", second}
		same := second == "a1b2c3d4e5f6"
		code := r.run("slot", "access-code", "set", "--slot", "2", "--new-code-file", "-")
		if (code == exitDone) != same || r.key.HoldsAccessCode(2, [6]byte{0xa1, 0xb2, 0xc3, 0xd4, 0xe5, 0xf6}) != same || len(answers) > 0 {
			t.Errorf("%s: exit code %d, %d left", second, code, len(answers))
		}
	}
}
