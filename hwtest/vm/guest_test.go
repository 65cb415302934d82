//go:build linux

package vm

import (
	"testing"
)

// TestGuest runs the scenarios of testdata in the guest, one boot for each directory: the suite of hwtest/suite over a
// real USB stack, and our Session beside Debian's clients. Those of the command line are cmd/tokendesk's own, run by the
// same RunScenarios.
func TestGuest(t *testing.T) {
	t.Parallel()
	img := Need(t)
	const module = "github.com/tokendesk/tokendesk/hwtest/"
	files := map[string]string{
		"vkeyd":           Build(t, false, module+"usbip/vkeyd", "build"),
		"slot":            Build(t, true, module+"suite/slot", "build"),
		"slot-pure":       Build(t, false, module+"suite/slot", "build"),
		"suite.test":      Build(t, true, module+"suite", "test", "-c"),
		"suite-pure.test": Build(t, false, module+"suite", "test", "-c"),
	}
	for _, kind := range []string{"suite", "clients"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			RunScenarios(t, img, "testdata/"+kind+"/*.sh", files)
		})
	}
}
