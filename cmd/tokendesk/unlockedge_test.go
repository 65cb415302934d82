package main

import (
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/keyfile/seal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/usbhid"
	"github.com/tokendesk/tokendesk/ykslot"
)

// TestUnlockRemoveProves: a key goes only while one that stays was seen to open the store.
func TestUnlockRemoveProves(t *testing.T) {
	t.Parallel()
	r, p, one, two := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	two.absent = false
	r.types(p, "hq41zn", "kw82pd", "kw82pd")
	r.must("store", "unlock", "add", "--serial", "22")
	two.absent = true // or lost, or its PIN forgotten
	r.types(p, "hq41zn")
	r.ends(exitRefused, "nothing shows that another one still can", "store", "unlock", "remove", "11")
	two.absent = false
	r.types(p, "kw82pd")
	r.ends(exitDone, "does not open the sealing key any more; 1 key do", "store", "unlock", "remove", "11", "--unlock-serial", "22")
	one.absent = true
	r.types(p, "kw82pd")
	r.must("person", "list")
}

// TestUnlockSetProven: what was read of the file without a proof does not get into the new one.
func TestUnlockSetProven(t *testing.T) {
	t.Parallel()
	r, p, _, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	other, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &app{env: &r.env, store: r.dataDir}
	r.types(p, "hq41zn")
	err = a.withUnlock(t.Context(), func(u unlockRing) error {
		u.now[0].Public = other.PublicKey() // somebody had another file there for a moment
		return u.set(t.Context(), a, "add", 22, append(u.now, seal.Recipient{Serial: 22, Slot: byte(unlockSlot), Public: other.PublicKey()}))
	})
	if !errors.Is(err, seal.ErrChanged) {
		t.Errorf("%v", err)
	}
}

// endsAt is a context that ends when somebody looks at it for the nth time. Who looked may have gone on all the same.
type endsAt struct {
	context.Context
	end  context.CancelFunc
	left *atomic.Int64
}

func (c endsAt) Err() error {
	c.look()
	return c.Context.Err()
}

func (c endsAt) Done() <-chan struct{} {
	c.look()
	return c.Context.Done()
}

func (c endsAt) look() {
	if c.left.Add(-1) == 0 {
		c.end()
	}
}

// TestInitBrokenOff: wherever init is broken off, there is no store without its keys.
func TestInitBrokenOff(t *testing.T) {
	t.Parallel()
	stores := 0
	for n, done := int64(1), false; !done; n++ {
		r, p, _, _ := newUnlockRig(t)
		ctx, end := context.WithCancel(t.Context())
		c := endsAt{ctx, end, new(atomic.Int64)}
		c.left.Store(n)
		r.types(p, "hq41zn", "hq41zn")
		err := runInit(c, &app{env: &r.env, store: r.dataDir}, initOptions{unlock: "piv"})
		end()
		if done = c.left.Load() > 0; done && err != nil || n == 5000 {
			t.Fatalf("look %d: %v", n, err)
		}
		there := func(name string) bool {
			_, err := os.Stat(filepath.Join(r.dataDir, name))
			return err == nil
		}
		if there("tokendesk.db") {
			if stores++; !there(sealingFile) || !there(signingFile) {
				t.Errorf("broken off at %d: a store without its keys: %v", n, err)
			}
		}
	}
	if stores < 2 {
		t.Error("it was never broken off after the store was made")
	}
}

// TestRootsHaveOne: certificates without a root prove nothing about anybody, so they are no rule, and no key is noted as refused by them.
func TestRootsHaveOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	r.must("init")
	between := filepath.Join(t.TempDir(), "between.pem")
	if err := os.WriteFile(between, pivapplet.TestCA().IntermediatePEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	r.ends(exitUsage, "none of these certificates is a root", "device", "genuine", "require", "--roots", between)
	r.ends(exitUsage, "none of these certificates is a root", "device", "attest", "--roots", between)
	r.must("device", "attest", "--roots", between, "--roots", r.roots(pivapplet.TestCA()))
}

// TestSpareIsOurs: a key in the spare slot that wants a touch is somebody's.
func TestSpareIsOurs(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	app := r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	card, err := openApplet(t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = card.Generate(t.Context(), piv.DefaultManagementKey(), spareSlot, piv.KeySpec{Algorithm: piv.P256, PIN: piv.PINNever, Touch: piv.TouchAlways})
	if err := errors.Join(err, card.Close()); err != nil {
		t.Fatal(err)
	}
	if code := r.run("device", "attest", "--roots", r.roots(pivapplet.TestCA()), "--slot", "95"); code == exitDone {
		t.Error("what wants a touch was asked")
	}
	r.must("device", "attest", "--roots", r.roots(pivapplet.TestCA()))
	if _, there := app.Slot(byte(spareSlot)); !there {
		t.Error("somebody's key is gone")
	}
}

// TestUnlockUnseen: a key that old firmware does not show may be another store's.
func TestUnlockUnseen(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fakePIV){
		"imported":       func(k *fakePIV) { k.firmware, k.imported = ykslot.Version{Major: 5, Minor: 2, Patch: 4}, true },
		"no attestation": func(k *fakePIV) { k.firmware, k.imported = ykslot.Version{Major: 4, Minor: 2, Patch: 8}, true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, p, one, _ := newUnlockRig(t)
			one.make(t)
			change(one)
			one.pin = "hq41zn"
			before := one.keys[unlockSlot]
			r.types(p, "hq41zn")
			r.stdin = strings.NewReader("n\n")
			r.ends(exitRefused, "does not tell whether one is there", "init", "--unlock", "piv")
			if one.keys[unlockSlot] != before {
				t.Fatal("it was overwritten")
			}
			r.types(p, "hq41zn")
			r.ends(exitDone, "opens only with key 11", "init", "--unlock", "piv", "--yes")
		})
	}
}

// TestDoctorLeftover: a sealing key in clear that a killed process left is seen.
func TestDoctorLeftover(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	r.must("init")
	left := filepath.Join(r.dataDir, "."+sealingFile+".815")
	if err := os.WriteFile(left, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run("doctor")
	if !strings.Contains(r.out.String(), "may be that key in clear") || !strings.Contains(r.out.String()+r.err.String(), "rm "+left) {
		t.Errorf("doctor says\n%s", r.out.String())
	}
}

// TestUnlockNewPIN: a PIN that must be wrong is not tried.
func TestUnlockNewPIN(t *testing.T) {
	t.Parallel()
	r, p, one, _ := newUnlockRig(t)
	r.types(p, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	one.pin, one.verified = "123456", 0 // a set-up was broken off after it set the number of tries
	r.types(p, "hq41zn")
	r.ends(exitRefused, "has the PIN of a new key now", "person", "list")
	if one.verified > 0 || one.left != 3 {
		t.Errorf("%d PINs were tried", one.verified)
	}
	r.types(p, "123456")
	r.must("person", "list")
}
