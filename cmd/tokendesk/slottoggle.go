package main

import (
	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/ykslot"
)

// toggles are the flags of a slot as flags of a command, by ykpersonalize's names and, where people know them, ykman's.
type toggles struct {
	on      map[string]*bool
	noEnter bool
	pacing  int
}

// flags adds them: for an update only those that one can change.
func (t *toggles) flags(cmd *cobra.Command, update bool) {
	t.on = map[string]*bool{}
	base := ykslot.TypingFlags(ykslot.Version{Major: 5, Minor: 7})
	f := cmd.Flags()
	for _, row := range provision.Toggles() {
		if update && !row.Update {
			continue
		}
		text := row.Text
		if row.On(base) {
			text += " (a new slot has it)"
		}
		t.on[row.Name] = f.Bool(row.Name, false, text)
	}
	f.BoolVar(&t.noEnter, "no-enter", false, "no Enter at the end: append-cr=false")
	f.IntVar(&t.pacing, "pacing", 0, "milliseconds between characters: 0, 20, 40 or 60")
	complete(cmd, "pacing", "0", "20", "40", "60")
}

// read gives what was named on the command line; complete says that it was all that an update can change.
func (t *toggles) read(cmd *cobra.Command) (set, clear ykslot.Flags, complete bool, err error) {
	complete = true
	named := cmd.Flags().Changed
	put := func(row provision.Toggle, on bool) {
		if on {
			set = row.With(set, true)
		} else {
			clear = row.With(clear, true)
		}
	}
	for _, row := range provision.Toggles() {
		switch on := t.on[row.Name]; {
		case row.Name == "append-cr" && t.noEnter:
			if named("append-cr") && *on {
				return set, clear, false, usagef("--no-enter and --append-cr exclude each other")
			}
			put(row, false)
		case paced(row) && named("pacing"):
			if named("pacing-10ms") || named("pacing-20ms") {
				return set, clear, false, usagef("--pacing stands for --pacing-10ms and --pacing-20ms")
			}
			if t.pacing%20 != 0 || t.pacing < 0 || t.pacing > 60 {
				return set, clear, false, usagef("--pacing is 0, 20, 40 or 60")
			}
			put(row, t.pacing/20&pacingBit(row) != 0)
		case named(row.Name):
			put(row, *on)
		case row.Update:
			complete = false
		}
	}
	return set, clear, complete, nil
}

func paced(t provision.Toggle) bool { return t.Name == "pacing-10ms" || t.Name == "pacing-20ms" }

// pacingBit is 1 for 20 ms and 2 for 40 ms.
func pacingBit(t provision.Toggle) int {
	if t.Name == "pacing-10ms" {
		return 1
	}
	return 2
}

// switched is one flag of a plan or an update.
type switched struct {
	Flag string `json:"flag"`
	From string `json:"from"`
	To   string `json:"to"`
	Text string `json:"text"`
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
