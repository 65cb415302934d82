//go:build unix

package seal

import (
	"io/fs"
	"testing"
)

func TestOwnerOnly(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode   fs.FileMode
		handed bool
		want   bool
	}{
		{0o600, false, true}, {0o400, false, true}, {0o600, true, true},
		{0o440, true, true}, // a credential of systemd 254, reference: its issue 29435
		{0o440, false, false}, {0o640, true, false}, {0o460, true, false}, {0o444, true, false}, {0o404, true, false}, {0o604, false, false},
	} {
		if ownerOnly(c.mode, c.handed) != c.want {
			t.Errorf("%04o, %t", c.mode, c.handed)
		}
	}
}
