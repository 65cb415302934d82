package main

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestNotGenuineFits: a reason that names what a certificate says is text that every database takes, however long it is.
func TestNotGenuineFits(t *testing.T) {
	t.Parallel()
	for n := range 4 {
		said := notGenuine(errors.New(strings.Repeat("x", n) + strings.Repeat("ü", token.MaxRefused)))
		if !utf8.ValidString(said) || len(said) > token.MaxRefused || len(said) < token.MaxRefused-4 {
			t.Errorf("%d bytes, %q", len(said), said[max(0, len(said)-6):])
		}
	}
	if said := notGenuine(errors.New("short")); said != "short" {
		t.Errorf("%q", said)
	}
}
