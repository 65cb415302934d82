package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestChecklist: when a server starts, its log says how things stand, and warns of what is not in order.
func TestChecklist(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	bare, _ := r.serve().stop(t, syscall.SIGTERM)
	r.client("mail")
	better, _ := r.serve().stop(t, syscall.SIGTERM)
	for _, c := range []struct{ log, want string }{
		{bare, `level=WARN msg=check check=Clients state=WARN detail="none: nobody can ask for validations" next="tokendesk client add NAME"`},
		{better, `level=INFO msg=check check=Clients state=OK detail="1 active"`},
		{better, `level=INFO msg=check check=TLS state=OK detail="none: for this machine alone`},
		{better, `level=INFO msg=check check="File sealing.key" state=OK`},
		{better, `level=WARN msg=check check=Backup state=WARN detail="none was made by this program"`},
		{better, `level=INFO msg=check check=Database state=OK`},
		{better, `msg=check check=Clock state=`},
	} {
		if !strings.Contains(c.log, c.want) {
			t.Errorf("%s is missing in\n%s", c.want, c.log)
		}
	}
	if strings.LastIndex(better, "msg=check") > strings.Index(better, "msg=serving") {
		t.Error("it serves before it says how things stand")
	}
}

func TestExamineClock(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		clock clockState
		want  health
	}{{clockState{}, healthOK}, {clockState{known: true}, healthWarn}, {clockState{known: true, kept: true, maximum: time.Second}, healthOK}} {
		a := &app{env: &env{now: func() time.Time { return earliest().AddDate(0, 1, 0) }, clock: func() clockState { return c.clock }}}
		if row := a.examineClock(); row.State != c.want || !strings.Contains(row.Detail, c.clock.String()) {
			t.Errorf("%+v: %+v", c.clock, row)
		}
	}
}
