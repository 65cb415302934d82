package console

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// TestNearEnd: staff see that a key stops soon, from 0x7000 on. Source: reference validation-protocol.md §14.
func TestNearEnd(t *testing.T) {
	t.Parallel()
	for use, want := range map[int]bool{-1: false, 0x6FFF: false, 0x7000: true, 0x7FFF: true} {
		if note := credentialNote(token.Credential{Counters: token.Counters{Use: use}}); strings.Contains(note, "almost used up") != want {
			t.Errorf("use counter %#x: %q", use, note)
		}
	}
}
