package main

import (
	"strings"
	"testing"
	"time"
)

// TestClockOf1970: a machine without a clock can do everything, and doctor says what is wrong.
func TestClockOf1970(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.now = func() time.Time { return time.Unix(60, 0) }
	r.must("init")
	r.must("provision", "--slot", "2")
	r.stdin = strings.NewReader(r.typed(2))
	r.must("verify")
	r.must("audit", "verify")
	r.run("doctor")
	if !strings.Contains(r.out.String(), "1970-01-01") || strings.Contains(r.out.String(), "Clock              OK") {
		t.Error(r.out.String())
	}
}
