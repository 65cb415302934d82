package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzLineRules: whatever a file holds, the reader passes it on unchanged, counts its lines, and names lines in their order.
func FuzzLineRules(f *testing.F) {
	for _, text := range []string{
		"\ufeffT1, 00ff, totp, 6, 30\n", "1,cb,ab,CD,,2026-03-01T10:00:00Z,\n\n#\n1,2\n", "ada:cbdc\r\n", "no end", "\n", strings.Repeat("x", 9000) + "\nb",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for server, rule := range lineRules() {
			l := &lineReader{r: iotest.OneByteReader(bytes.NewReader(text)), rule: rule}
			got, err := io.ReadAll(l)
			if err != nil || !bytes.Equal(got, text) {
				t.Fatalf("%s: %d bytes of %d, %v", server, len(got), len(text), err)
			}
			want := bytes.Count(text, []byte("\n"))
			if len(text) > 0 && text[len(text)-1] != '\n' {
				want++
			}
			if l.line != want {
				t.Fatalf("%s: %d lines, want %d", server, l.line, want)
			}
			last := 1
			for _, f := range l.take(want) {
				if f.Line < last || f.Line > want || f.Cause == "" || f.Field == "" {
					t.Fatalf("%s: %+v after line %d", server, f, last)
				}
				last = f.Line
			}
			if rest := l.take(want); len(rest) > 0 {
				t.Fatalf("%s: %v came twice", server, rest)
			}
		}
	})
}
