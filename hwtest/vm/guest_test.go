//go:build linux

package vm

import (
	"os"
	"path/filepath"
	"testing"
)

// TestGuest runs the scenarios of testdata in the guest, one boot for each directory: suite is hwtest/suite over a real
// USB stack, clients is our Session beside Debian's programs. A new directory needs no more than its scenarios, and its
// programs in files.
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
	kinds, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range kinds {
		t.Run(kind.Name(), func(t *testing.T) {
			t.Parallel()
			RunScenarios(t, img, filepath.Join("testdata", kind.Name(), "*.sh"), files)
		})
	}
}
