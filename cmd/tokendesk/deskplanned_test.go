package main

import (
	"strings"
	"testing"

	"github.com/tokendesk/tokendesk/provision/appointment"
)

func TestReadPlanned(t *testing.T) {
	t.Parallel()
	const day = "\ufeffTime,Account\n2026-11-23 09:00,ada\n2026-11-24 09:00,bob\n2026-11-23 09:15, eve \n,\n"
	list, err := readPlanned(strings.NewReader(day), "2026-11-23")
	if err != nil || len(list) != 2 || list[0] != (appointment.Planned{Account: "ada", Time: "09:00"}) || list[1].Account != "eve" {
		t.Errorf("%+v, %v", list, err)
	}
	for _, bad := range []string{"", "name\nada\n", "account,time\nada\n", "account\n\"ada\n"} {
		if _, err := readPlanned(strings.NewReader(bad), ""); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// FuzzReadPlanned: every appointment has an account on one line, and errors come alone.
func FuzzReadPlanned(f *testing.F) {
	for _, s := range []string{"account,time\nada,09:00\n", "\ufeffaccount\nada\n", "time\n", "account,account\na,b\n", "a,\"b\nc\""} {
		f.Add(s, "09")
	}
	f.Fuzz(func(t *testing.T, text, date string) {
		list, err := readPlanned(strings.NewReader(text), date)
		if err != nil && list != nil {
			t.Fatal("an error with appointments")
		}
		for _, p := range list {
			if p.Account == "" || strings.TrimSpace(p.Account) != p.Account {
				t.Fatalf("%q", p.Account)
			}
		}
	})
}

// TestLineMeans: what a line does at each place; nothing that a key types chooses anything.
func TestLineMeans(t *testing.T) {
	t.Parallel()
	const otp = "vvcccccccccbdefghijklnrtuvcbdefghijklnrtuvcb"
	desk := appointment.State{}
	for line, want := range map[string]appointment.Event{
		"ada": appointment.Submit{Text: "ada", Whole: true}, otp: appointment.Touched{OTP: otp}, "quit": appointment.Quit{}, "cancel": appointment.Escaped{}, "": nil,
	} {
		if e, taken := lineMeans(desk, line); e != want || !taken {
			t.Errorf("%q: %+v, %v", line, e, taken)
		}
	}
	desk.Person = &appointment.Person{}
	for line, want := range map[string]appointment.Event{
		"1": appointment.Checked{Check: "staff-card"}, "video": appointment.Checked{Check: "video"}, "6": nil, "0": nil, otp: nil, "755224": nil,
	} {
		if e, taken := lineMeans(desk, line); e != want || !taken {
			t.Errorf("%q: %+v, %v", line, e, taken)
		}
	}
	read := func(s appointment.State) (appointment.Event, int) {
		f := &deskLines{lines: []string{"bob"}}
		return f.next(s), len(f.lines)
	}
	done := appointment.State{Done: &appointment.Done{Cards: appointment.Cards{Why: "no room"}}}
	if e, left := read(done); e != (appointment.Submit{}) || left != 1 {
		t.Errorf("the next person waits for a key that is gone: %+v, %d", e, left)
	}
	done.Key = &appointment.Key{}
	if e, left := read(done); e != nil || left != 1 {
		t.Errorf("the next person does not wait for the key: %+v, %d", e, left)
	}
	if lastOTP("ada "+otp) != otp || lastOTP("ada") != "" || lastOTP("  ") != "" || lastOTP("755224") != "" {
		t.Error("what a key types is not told from a name")
	}
}
