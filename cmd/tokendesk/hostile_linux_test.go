package main

import (
	"bytes"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// again repeats a text for ever.
type again struct {
	text string
	at   int
}

// Read implements io.Reader.
func (e *again) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		k := copy(p[n:], e.text[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.text)
	}
	return len(p), nil
}

// mostMemory is what the program may have in memory, in KiB: documents are held whole up to 64 MiB, and several times while they are
// taken apart.
const mostMemory = 600 << 10

// TestEndlessFiles gives the program files without an end through a pipe: it must end by itself with one clear line, and in bounded
// memory.
func TestEndlessFiles(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1)
	r.must("init")
	for _, tc := range []struct {
		name, begin, rest string
		says              string
	}{
		{"zeros", "", "\x00", "in no format that is known"},
		{"line ends", "", "\n", "in no format that is known"},
		{"one line", "", "a", "in no format that is known"},
		{"PSKC, deeper and deeper", `<?xml version="1.0"?><KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc">`, "<KeyPackage>", "nested"},
		{"PSKC, one element", `<?xml version="1.0"?><KeyContainer xmlns="urn:ietf:params:xml:ns:keyprov:pskc"><KeyPackage><Key Id="`, "a", "more than"},
		{"tokens of privacyIDEA", "[", `{"serial":"A","type":"totp","otpkey":"","info_list":{}},`, "MiB"},
		{"Aegis", `{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[`, `{"type":"totp"},`, "MiB"},
		{"armour of age", "-----BEGIN AGE ENCRYPTED FILE-----\n", strings.Repeat("A", 4000), "damaged, cut or changed"},
		{"OpenPGP session keys", "", "\xC1\x0A\x03AAAAAAAA\x01", "damaged, cut or changed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Minute)
			defer stop()
			cmd := exec.CommandContext(ctx, "tokendesk", "--store", r.dataDir, "keyfile", "inspect", "-")
			var said bytes.Buffer
			// An armour or a message is kept in a file before it is opened, up to 4 GiB: here it ends.
			cmd.Stdin, cmd.Stderr = io.MultiReader(strings.NewReader(tc.begin), io.LimitReader(&again{text: tc.rest}, 256<<20)), &said
			peakOf := wantPeak(t, cmd)
			err := cmd.Run()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != int(exitUsage) || !strings.Contains(said.String(), tc.says) || strings.Count(said.String(), "tokendesk: ") != 1 {
				t.Fatalf("%v\n%.2000s", err, said.String())
			}
			if peak := peakOf(); peak > mostMemory {
				t.Errorf("%d MiB in memory", peak>>10)
			} else {
				t.Logf("%d MiB in memory, %s", peak>>10, cmd.ProcessState.UserTime())
			}
		})
	}
}
