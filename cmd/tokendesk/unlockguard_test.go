package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestOpenerIsSpared: what the store opens with is neither wiped nor replaced, and its PIN is none that only the store knows.
func TestOpenerIsSpared(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.ends(exitDone, "opens only with key 11", "init", "--unlock", "piv")
	pin, puk := filepath.Join(t.TempDir(), "pin"), filepath.Join(t.TempDir(), "puk")
	for path, text := range map[string]string{pin: "hq41zn\n", puk: "12345678\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	key := one.keys[unlockSlot]
	for _, test := range []struct {
		says  string
		words []string
	}{
		{"store unlock remove 11", []string{"reset", "--reason", "returned", "--yes"}},
		{"store unlock remove 11", []string{"init", "--reset", "--reason", "returned", "--yes"}},
		{"store unlock remove 11", []string{"generate", "9d", "--overwrite", "--reason", "test", "--yes"}},
		{"--new-pin-file", []string{"init", "--pin-file", pin}},
		{"--new-pin-file", []string{"unblock", "--puk-file", puk}},
	} {
		r.types(p, "hq41zn")
		r.ends(exitRefused, test.says, append([]string{"piv"}, test.words...)...)
	}
	r.types(p, "hq41zn")
	r.ends(exitDone, "", "piv", "generate", "9c", "--overwrite", "--reason", "test", "--yes")
	if one.pin != "hq41zn" || one.keys[unlockSlot] != key {
		t.Error("the PIN or the key is another")
	}
}
