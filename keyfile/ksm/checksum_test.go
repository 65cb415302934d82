package ksm

import (
	"crypto/sha1"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/keyfile/sample"
)

// TestChecksum: by serial as a number and then by public ID, whatever the order of the file.
func TestChecksum(t *testing.T) {
	t.Parallel()
	const file = "# ykksm 1\n" +
		"10,cccccccccccd,d74fbdf6a890,82211e0854e7369e83d941f24761a84e,881ae7bee927,,\n" +
		"9,cccccccccccf,D74FBDF6A890,82211E0854E7369E83D941F24761A84E,881ae7bee927,,\n" +
		"9,,ca62baca62ba,ecde18dbe76fbd0c33330f1c354871db,be70aeca62ba,,\n"
	recs, errs := sample.Decode(Codec{}, file)
	if len(errs) > 0 || len(recs) != 3 {
		t.Fatalf("%d records, %v", len(recs), errs)
	}
	var c Checksum
	for _, r := range recs {
		c.Add(r)
	}
	sum := sha1.Sum([]byte(strings.Join([]string{
		"9", "", "ca62baca62ba", "ecde18dbe76fbd0c33330f1c354871db",
		"9", "cccccccccccf", "d74fbdf6a890", "82211e0854e7369e83d941f24761a84e",
		"10", "cccccccccccd", "d74fbdf6a890", "82211e0854e7369e83d941f24761a84e",
	}, "")))
	if got, want := c.Sum(), hex.EncodeToString(sum[:])[:10]; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
