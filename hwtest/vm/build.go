//go:build linux

package vm

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Build compiles a package of this module into a temporary directory and returns the program's path, to be handed to the
// guest. verb is {"build"} or {"test", "-c"}, with flags; cgo says whether the C compiler is used.
func Build(t *testing.T, cgo bool, pkg string, verb ...string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), filepath.Base(pkg))
	cmd := exec.CommandContext(t.Context(), "go", append(verb, "-o", to, pkg)...)
	enabled := "CGO_ENABLED=0"
	if cgo {
		enabled = "CGO_ENABLED=1"
	}
	cmd.Env = append(os.Environ(), enabled)
	if said, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v %s: %v\n%s", verb, pkg, err, said)
	}
	return to
}
