package main

import (
	"cmp"
	"os"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vm"
)

// TestGuest runs the program in the guest machine, on a virtual key that is a real USB device there, beside Debian's
// clients: the scenarios of testdata/guest, in one boot.
func TestGuest(t *testing.T) {
	t.Parallel()
	img := vm.Need(t)
	const module = "github.com/tokendesk/tokendesk/"
	sets := filepath.Join(t.TempDir(), "sets")
	if err := os.WriteFile(sets, []byte(cmp.Or(os.Getenv("TOKENDESK_SETS"), "8")), 0o600); err != nil {
		t.Fatal(err)
	}
	programs := vm.Build(t, false, module+"cmd/tokendesk", "test", "-c") // named by what they are called as: see TestMain
	vm.RunScenarios(t, img, "testdata/guest/[0-9]*.sh", map[string]string{
		"walk.sh":        "testdata/guest/walk.sh",
		"vkeyd":          vm.Build(t, false, module+"hwtest/usbip/vkeyd", "build"),
		"slot":           vm.Build(t, false, module+"hwtest/suite/slot", "build"),
		"tokendesk":      vm.Build(t, true, module+"cmd/tokendesk", "build"),
		"tokendesk-pure": vm.Build(t, false, module+"cmd/tokendesk", "build"),
		"escrowed":       programs,
		"differ":         programs,
		"rival.py":       "testdata/guest/rival.py",
		"holder.py":      "testdata/guest/holder.py",
		"sets":           sets,
	})
}
