package main

import (
	"encoding/hex"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// otherMap is the default one with two letters and two digits exchanged.
func otherMap() ykslot.ScanMap {
	m := ykslot.DefaultScanMap()
	m[0], m[1], m[32], m[33] = m[1], m[0], m[33], m[32]
	return m
}

// settings are the commands that tell a key something of which no table goes.
func settingCommands() map[string][]string {
	return map[string][]string{
		"ndef":    {"slot", "ndef", "--slot", "2", "--uri", "https://example.org/otp?"},
		"scanmap": {"slot", "scanmap", "--set", otherMap().String(), "--yes"},
	}
}

// toldAgrees fails unless nothing is open and the key has what the store says that it was told last.
func (r *rig) toldAgrees(how string) {
	r.t.Helper()
	list, err := r.open().KeySettings(r.t.Context(), rigSerial)
	if err != nil {
		r.t.Fatal(err)
	}
	scanMap, ndef := ykslot.DefaultScanMap(), ""
	for _, s := range list {
		if s.Open {
			r.t.Errorf("%s: %s is open", how, s.What)
		}
		raw, err := hex.DecodeString(s.Value)
		if err != nil {
			r.t.Fatal(err)
		}
		switch {
		case s.What == token.ScanMap && s.Value != ykslot.ScanMap{}.String(): // which restores the default one
			scanMap = ykslot.ScanMap(raw)
		case s.What == token.NDEF:
			ndef = string(raw[1 : 2+raw[0]])
		}
	}
	if r.key.ScanMap() != [45]byte(scanMap) || string(r.key.Slot(2).NDEF) != ndef {
		r.t.Errorf("%s: the key has the map %x and the NDEF %q, the store says %x and %q", how, r.key.ScanMap(), r.key.Slot(2).NDEF, scanMap, ndef)
	}
}

// TestUnplugSetting pulls the key out at every report of a setting: what came of it is known, or it is said to be open, by everything that tells
// of it, until resume or the same command has sent it again.
func TestUnplugSetting(t *testing.T) {
	t.Parallel()
	for name, words := range settingCommands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.must("init")
			r.must("slot", "program", "--slot", "2", "--type", "hotp", "--access-code", "none")
			for n, opened := 1, 0; ; n++ {
				r.said()
				r.key.SetFaults(vkey.Faults{UnplugAfter: n})
				code := r.run(words...)
				r.key.SetFaults(vkey.Faults{})
				r.key.PowerCycle()
				if code == exitDone {
					r.toldAgrees("done")
					if opened < 2 {
						t.Errorf("after %d reports all was done; open was it %d times", n, opened)
					}
					return
				}
				open, err := openSettings(t.Context(), r.open(), 0)
				if err != nil {
					t.Fatal(err)
				}
				if len(open) == 0 {
					r.toldAgrees("before it was sent")
					continue
				}
				opened++
				r.said("is not settled", "tokendesk provision resume --serial 7654321")
				r.must("slot", "list")
				r.said("is not settled", "provision resume")
				r.must("slot", "show", "7654321", "--slot", "2", "-o", "json")
				r.said(`"unsettled": [`)
				r.must("provision", "resume", "--dry-run")
				r.said("sends it again")
				r.must("doctor")
				r.said("1 interrupted write not settled")
				if opened%2 == 0 { // the same command is a way to finish, too
					r.must(words...)
				} else {
					r.must("provision", "resume")
					r.said("programmed")
				}
				r.toldAgrees("again")
				r.must("provision", "resume")
				r.said("nothing is left to settle")
				r.must("slot", "scanmap", "--reset") // so that the next one changes it
			}
		})
	}
}

// TestSettingOfLostKey: what is open on a key that is gone, and no token of the store, is closed by a word that the audit chain keeps; a key at
// hand is not asked, and no other key's setting is closed.
func TestSettingOfLostKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	st := r.open()
	for _, s := range []token.KeySetting{
		{Serial: 4711, What: token.NDEF, Slot: 1, Value: "0100", Text: "first"}, {Serial: 4711, What: token.NDEF, Slot: 1, Value: "0101", Text: "second"},
		{Serial: 4711, What: token.ScanMap, Value: otherMap().String(), Text: "another"}, {Serial: 815, What: token.NDEF, Slot: 2, Value: "0100", Text: "other"},
	} {
		if err := st.BeginSetting(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, words := range [][]string{{"--lost"}, {"--reason", "gone"}, {"--lost", "--reason", " ", "--serial", "4711"}, {"--lost", "--reason", "gone"},
		{"--lost", "--reason", "gone", "--serial", "4711", "--dry-run"}} {
		if code := r.run(append([]string{"provision", "resume"}, words...)...); code != exitUsage {
			t.Errorf("%q: exit code %d", words, code)
		}
	}
	r.said()
	r.must("provision", "resume", "--serial", "4711", "--lost", "--reason", "left on a train")
	r.said("4711", "scanmap", "ndef", "should it come back")
	open, err := openSettings(t.Context(), st, 0)
	if err != nil || len(open) != 1 || open[0].Serial != 815 {
		t.Errorf("open: %+v, %v", open, err)
	}
	r.must("audit", "list")
	r.said("given up: left on a train")
	r.must("provision", "resume", "--serial", "4711", "--lost", "--reason", "again")
	r.said("nothing is left to settle")
}

// TestScanMapRemembered: a scan map that was set here is known to later proofs by touch, of new slots and of interrupted ones, until it is
// reset; while it is open, no slot is written that a touch must prove.
func TestScanMapRemembered(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	r.must("slot", "program", "--slot", "2", "--type", "hotp", "--access-code", "none")
	r.must(settingCommands()["scanmap"]...)
	r.said("the scan map of key 7654321")
	for _, kind := range []string{"hotp", "yubico-otp", "static"} {
		r.must("slot", "program", "--slot", "2", "--type", kind, "--access-code", "none")
		r.said("proven by touch")
	}
	r.must("slot", "show", "7654321", "--slot", "2")
	r.said("Scan map", otherMap().String())
	st := r.open()
	begun := token.KeySetting{Serial: rigSerial, What: token.ScanMap, Value: ykslot.ScanMap{}.String(), Text: "the default one"}
	if err := st.BeginSetting(t.Context(), begun); err != nil {
		t.Fatal(err)
	}
	if code := r.run("slot", "program", "--slot", "2", "--type", "hotp"); code != exitRefused {
		t.Errorf("a write by a map that is not settled: exit code %d", code)
	}
	r.said("the scan map is not settled", "provision resume --serial 7654321")
	r.must("provision", "resume")
	r.toldAgrees("resumed")
	r.must("slot", "program", "--slot", "2", "--type", "hotp")
	r.said("proven by touch")
}

// TestKillSetting kills the two commands as processes of their own.
func TestKillSetting(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("two processes for each step")
	}
	for name, words := range settingCommands() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 2)
			r.must("init")
			r.must("slot", "program", "--slot", "2", "--type", "hotp", "--access-code", "none")
			opened := 0
			for n := 20; ; n += 9 {
				keys := serveKey(t, r)
				killed := r.killed(keys, 2, n, words...)
				open, err := openSettings(t.Context(), r.open(), rigSerial)
				if err != nil {
					t.Fatal(err)
				}
				opened += len(open)
				if killed {
					if code := r.child(keys, 2, "provision", "resume"); code != 0 {
						t.Fatalf("step %d: resume: exit code %d", n, code)
					}
				}
				r.toldAgrees("killed")
				if !killed {
					if opened == 0 {
						t.Error("never was it open")
					}
					return
				}
			}
		})
	}
}
