package oathapplet_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/usbhid"
)

// TestTouch: a touch, of whatever length, gives the code; without one the wait ends with 6985; a key that is pulled out ends
// it without an answer. HOTP counts only what was given out. CALCULATE ALL waits for nothing, nor does a key at a reader.
func TestTouch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
		r := &rig{t, k, oathapplet.Install(k, oathapplet.Options{TouchWait: 10 * time.Second})}
		r.says(selectOATH + " " + put("a", "11", 6, 20, "7802") + " " + put("b", "21", 6, 20, "7802"))
		if got := r.says(command("a40001", "7408"+zeros)); got != "710161"+"770106"+"710162"+"7c0106"+ok {
			t.Errorf("CALCULATE ALL: %s", got)
		}
		type answer struct {
			hex string
			err error
		}
		ask := func() <-chan answer {
			done := make(chan answer, 1)
			go func() {
				b, err := k.Card().Transmit(unhex(t, calculate("a")))
				done <- answer{hex.EncodeToString(b), err}
			}()
			synctest.Wait()
			if k.LED() != vkey.Blinking {
				t.Error("it does not blink")
			}
			return done
		}
		done := ask()
		if !k.Touch(2) {
			t.Error("the touch did nothing")
		}
		if got := <-done; got.hex != "760506000b8618"+ok {
			t.Errorf("touched: %+v", got)
		}
		began := time.Now()
		if got := <-ask(); got.hex != "6985" || time.Since(began) != 10*time.Second || k.LED() != vkey.Lit || k.Touch(2) {
			t.Errorf("nobody came: %+v after %v", got, time.Since(began))
		}
		done = ask()
		if k.Hold(time.Second) != 1 {
			t.Error("the hold did nothing")
		}
		if got := <-done; got.hex != "7605060004616a"+ok {
			t.Errorf("held: %+v", got)
		}
		done = ask()
		k.PowerCycle()
		if got := <-done; !errors.Is(got.err, usbhid.ErrGone) || k.LED() != vkey.Lit {
			t.Errorf("pulled out: %+v", got)
		}
		for _, c := range []string{selectOATH, calculate("a")} {
			if got, err := k.NFC().Transmit(unhex(t, c)); err != nil || c != selectOATH && hex.EncodeToString(got) != "76050600057af0"+ok {
				t.Errorf("over NFC: %x, %v", got, err)
			}
		}
		k.OnTouchWait(func() bool { return k.Touch(1) })
		if got := r.says(selectOATH + " " + calculate("a")); got != "760506000ecad5"+ok {
			t.Errorf("by the hook: %s", got)
		}
		k.OnTouchWait(func() bool { return false })
		if got := r.says(calculate("a")); got != "6985" {
			t.Errorf("refused by the hook: %s", got)
		}
	})
}

// TestFaults: what fails before leaves nothing, what fails after leaves its effect; a key that leaves or hangs gives no answer.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name   string
		faults oathapplet.Faults
		sw     string // empty: gone
		put    bool
	}{
		{"fail before", oathapplet.Faults{FailBefore: 2}, "6581", false},
		{"fail after", oathapplet.Faults{FailAfter: 2}, "6581", true},
		{"leave before", oathapplet.Faults{LeaveBefore: 2}, "", false},
		{"leave after", oathapplet.Faults{LeaveAfter: 2}, "", true},
		{"hang before", oathapplet.Faults{HangBefore: 2}, "", false},
		{"hang after", oathapplet.Faults{INS: 0x01, HangAfter: 1}, "", true},
		{"another instruction", oathapplet.Faults{INS: 0x02, FailBefore: 1}, ok, true},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := vkey.New(vkey.YubiKey543, vkey.Options{Serial: 7654321})
				r := &rig{t, k, oathapplet.Install(k, oathapplet.Options{})}
				r.says(selectOATH)
				r.oath.SetFaults(v.faults)
				r.says(list)
				type answer struct {
					hex string
					err error
				}
				done := make(chan answer, 1)
				go func() {
					b, err := k.Card().Transmit(unhex(t, put("a", "21", 6, 20)))
					done <- answer{hex.EncodeToString(b), err}
				}()
				synctest.Wait()
				k.PowerCycle() // ends what hangs; what has left is back
				got := <-done
				if v.sw != "" && got.hex != v.sw || v.sw == "" && !errors.Is(got.err, usbhid.ErrGone) {
					t.Errorf("%+v", got)
				}
				k.Plug()
				if there := len(r.oath.Accounts()) == 1; there != v.put {
					t.Errorf("the account is there: %t", there)
				}
				if got := r.says(selectOATH + " " + put("b", "21", 6, 20)); got != ok {
					t.Errorf("the next: %s", got)
				}
				if ran := r.oath.Ran(); ran[0x01] != 2 || ran[0xa1] != 1 {
					t.Errorf("counted %v", ran)
				}
			})
		})
	}
}

// FuzzApplet: whatever comes, there is an answer of at least a status word, and the list stays what PUT could have made.
func FuzzApplet(f *testing.F) {
	f.Add([]byte("\x00\x01\x00\x00\x18\x71\x04test\x73\x10\x11\x06\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03"), []byte("\x00\xa4\x00\x01\x0a\x74\x08\x00\x00\x00\x00\x00\x00\x00\x01"))
	f.Add([]byte("\x00\x03\x00\x00\x02\x73\x00"), []byte("\x00\xa2\x00\x00\x03\x71\x81"))
	f.Add([]byte("\x00\x05\x00\x00\x04\x71\x82\xff\xff"), []byte("\x00\xa3\x00\x00\x01\x75"))
	f.Fuzz(func(t *testing.T, one, two []byte) {
		k := vkey.New(vkey.YubiKey543, vkey.Options{})
		oath := oathapplet.Install(k, oathapplet.Options{})
		k.OnTouchWait(func() bool { return true })
		for _, c := range [][]byte{unhex(t, selectOATH), one, two, unhex(t, list)} {
			if got, err := k.Card().Transmit(c); err != nil || len(got) < 2 {
				t.Fatalf("%x: %x, %v", c, got, err)
			}
		}
		for _, n := range oath.Accounts() {
			if len(n.Name) == 0 || len(n.Name) > 64 || n.Digits < 6 || n.Digits > 8 || n.Hash == 0 {
				t.Errorf("%+v", n)
			}
		}
	})
}
