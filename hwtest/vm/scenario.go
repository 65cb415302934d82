//go:build linux

package vm

import (
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scenarioBound is how long one scenario may run in the guest, in seconds: half a minute on an idle machine, two where other tests run,
// ten for the many sets of make soak.
const scenarioBound = 900

// guestBound is how long all scenarios of one boot may take: less than the 40 minutes of make test, so that it is told how far they came.
const guestBound = 35 * time.Minute

// RunScenarios runs every bash file that matches the pattern (testdata/*.sh) in one boot of the guest, each in a shell of
// its own, and makes each a subtest: it fails where the file does not exit with status 0. Files are handed over as in
// Script. Every scenario runs with errexit, nounset and pipefail, and what it started by start_vkeyd is stopped at its end.
func RunScenarios(t *testing.T, img *Image, pattern string, files map[string]string) {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenario matches %s (%v)", pattern, err)
	}
	all := map[string]string{}
	maps.Copy(all, files)
	var text strings.Builder
	for _, p := range paths {
		name := scenarioName(p)
		all["scenario/"+name] = p
		fmt.Fprintf(&text, "run_scenario %s %d\n", name, scenarioBound)
	}
	res, err := img.Run(t.Context(), Script{Text: text.String(), Files: all, Timeout: guestBound})
	if err != nil {
		t.Errorf("%v\n%s", err, res.Output)
	}
	t.Logf("%d scenarios in one boot, wall %s", len(paths), res.Wall.Round(100*time.Millisecond))
	for _, p := range paths {
		name := scenarioName(p)
		t.Run(name, func(t *testing.T) {
			out, status, ok := scenario(res.Output, name)
			if !ok {
				t.Fatalf("did not come to its end:\n%s", out)
			}
			if status != 0 {
				t.Fatalf("exit status %d:\n%s", status, out)
			}
			t.Log("\n" + out)
		})
	}
}

func scenarioName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".sh") }

// scenario cuts one scenario's output and status out of what run_scenario of prelude.sh printed for all of them.
func scenario(output, name string) (out string, status int, ok bool) {
	_, out, found := strings.Cut(output, "@@scenario "+name+"\n")
	if !found {
		return "", 0, false
	}
	out, rest, ended := strings.Cut(out, "\n@@status "+name+" ")
	if !ended {
		return out, 0, false
	}
	number, _, _ := strings.Cut(rest, "\n")
	status, err := strconv.Atoi(number)
	return out, status, err == nil
}
