package main

import (
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vm"
)

// TestGuest runs the program in the guest machine, on a virtual key that is a real USB device there, beside Debian's
// clients: the scenarios of testdata/guest, in one boot.
func TestGuest(t *testing.T) {
	t.Parallel()
	img := vm.Need(t)
	const module = "github.com/tokendesk/tokendesk/"
	vm.RunScenarios(t, img, "testdata/guest/[0-9]*.sh", map[string]string{
		"walk.sh":        "testdata/guest/walk.sh",
		"vkeyd":          vm.Build(t, false, module+"hwtest/usbip/vkeyd", "build"),
		"slot":           vm.Build(t, false, module+"hwtest/suite/slot", "build"),
		"tokendesk":      vm.Build(t, true, module+"cmd/tokendesk", "build"),
		"tokendesk-pure": vm.Build(t, false, module+"cmd/tokendesk", "build"),
		"escrowed":       vm.Build(t, false, module+"cmd/tokendesk", "test", "-c"),
	})
}
