//go:build linux

package vm

import (
	"os"
	"testing"
)

// Need returns the guest for a test that demands one. Without EnvGuest=1 the test is skipped; with it, a missing tool or
// kernel is fatal, so that a run that should have had the guest cannot pass without it.
func Need(t testing.TB) *Image {
	t.Helper()
	if os.Getenv(EnvGuest) != "1" {
		t.Skipf("needs the guest machine; set %s=1 to run it", EnvGuest)
	}
	img, err := Prepare(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return img
}
