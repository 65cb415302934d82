package storetest

import (
	"fmt"
	"testing"

	"github.com/tokendesk/tokendesk/provision/token"
)

// What a key was told last is known until something else is; what was begun is open until it is settled, in any number of runs.
func testKeySettings(t *testing.T, s slotSuite) {
	ctx := t.Context()
	e := s.issue(t, reservation(3901), 1)
	step := func(outcome string, serial token.Serial, what token.Setting, slot token.Slot, value string) {
		t.Helper()
		k := token.KeySetting{Serial: serial, What: what, Slot: slot, Value: value, Text: "text of " + value}
		switch outcome {
		case "begin":
			s.must(t, s.slots.BeginSetting(ctx, k))
		case "done":
			s.must(t, s.slots.EndSetting(ctx, k, ""))
		default:
			s.must(t, s.slots.EndSetting(ctx, k, outcome))
		}
	}
	is := func(serial token.Serial, want ...string) {
		t.Helper()
		list, err := s.slots.KeySettings(ctx, serial)
		s.must(t, err)
		var got []string
		for _, k := range list {
			got = append(got, fmt.Sprintf("%d %s %d %s %v %s %s", k.Serial, k.What, k.Slot, k.Value, k.Open, k.Former, k.Text))
			if k.At.IsZero() {
				t.Error("no time")
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	is(3901)
	step("begin", 3901, token.NDEF, 2, "aa")
	is(3901, "3901 ndef 2 aa true  text of aa")
	step("refused", 3901, token.NDEF, 2, "aa")
	is(3901)
	step("begin", 3901, token.NDEF, 2, "aa")
	step("done", 3901, token.NDEF, 2, "aa")
	step("begin", 3901, token.ScanMap, 0, "01")
	is(3901, "3901 scanmap 0 01 true  text of 01", "3901 ndef 2 aa false  text of aa")
	step("begin", 3901, token.ScanMap, 0, "02") // by the next run, which does not settle the first one if the key refuses
	step("refused", 3901, token.ScanMap, 0, "02")
	is(3901, "3901 scanmap 0 01 true  text of 01", "3901 ndef 2 aa false  text of aa")
	step("begin", 3901, token.ScanMap, 0, "02")
	step("done", 3901, token.ScanMap, 0, "02")
	step("begin", 3901, token.ScanMap, 0, "03")
	step("begin", 3902, token.ScanMap, 0, "04") // of a key that is no token here
	is(3901, "3901 scanmap 0 03 true 02 text of 03", "3901 ndef 2 aa false  text of aa")
	is(0, "3901 scanmap 0 03 true 02 text of 03", "3901 ndef 2 aa false  text of aa", "3902 scanmap 0 04 true  text of 04")
	s.must(t, s.slots.BeginSetting(ctx, token.KeySetting{Serial: 3901, What: token.NDEF, Slot: 1})) // as it was noted before
	is(3902, "3902 scanmap 0 04 true  text of 04")
	s.must(t, s.Retire(ctx, e.Token, ""))
	is(0, "3902 scanmap 0 04 true  text of 04")
}
