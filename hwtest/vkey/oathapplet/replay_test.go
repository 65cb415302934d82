package oathapplet_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drawn is what the key of a capture drew: the salts and challenges that its answers to SELECT show. A RESET draws a salt,
// which the next SELECT shows, if there is one.
func drawn(t *testing.T, exchanges []string) []byte {
	t.Helper()
	const saltAt, challengeAt, size = 7, 17, 8
	var all []byte
	salt := func(after []string) []byte {
		for _, e := range after {
			if command, answer, _ := strings.Cut(e, " "); strings.HasPrefix(command, "00a404") {
				return unhex(t, answer)[saltAt : saltAt+size]
			}
		}
		return make([]byte, size)
	}
	all = append(all, salt(exchanges)...)
	for n, e := range exchanges {
		command, answer, _ := strings.Cut(e, " ")
		switch a := unhex(t, answer); {
		case strings.HasPrefix(command, "0004"):
			all = append(all, salt(exchanges[n+1:])...)
		case strings.HasPrefix(command, "00a404") && len(a) > challengeAt+size:
			all = append(all, a[challengeAt:challengeAt+size]...)
		}
	}
	return all
}

// TestCaptures has the applet answer what a real key answered, byte for byte.
func TestCaptures(t *testing.T) {
	t.Parallel()
	total := 0
	for _, c := range captures() {
		exchanges := strings.Split(strings.TrimSpace(c.exchanges), "\n")
		total += len(exchanges)
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
			oathapplet.Install(k, oathapplet.Options{Rand: bytes.NewReader(drawn(t, exchanges))})
			k.OnTouchWait(func() bool { return true })
			card := k.Card()
			for n, e := range exchanges {
				command, want, _ := strings.Cut(e, " ")
				got, err := card.Transmit(unhex(t, command))
				if err != nil || hex.EncodeToString(got) != want {
					t.Fatalf("exchange %d, %s:\ngot  %x, %v\nwant %s", n+1, command, got, err, want)
				}
			}
		})
	}
	if total < 70 {
		t.Errorf("%d exchanges", total)
	}
}
