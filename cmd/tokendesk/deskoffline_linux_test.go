package main

import (
	"bytes"
	"errors"
	"path/filepath"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/batch"
	"github.com/tokendesk/tokendesk/provision/journal"
	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/usbhid"
)

// atStation is what a desk without a network opens.
func (r *rig) atStation() (*journal.Station, *intake) {
	r.t.Helper()
	a := &app{env: &r.env, store: r.dataDir}
	e, wanted, done, err := a.openEnroller(r.t.Context(), deskOptions{offline: true, dir: filepath.Join(r.dataDir, stationDir)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(done)
	return e.(offline).Station, wanted
}

// manages changes the management key of the rig's card, of firmware 5.7.
func (r *rig) manages(from, to secret.Bytes) {
	r.t.Helper()
	card, err := openApplet(r.t.Context(), virtualBus{r.key, 2}, usbhid.Attached{})
	if err != nil {
		r.t.Fatal(err)
	}
	c := card.(*appletCard)
	err = c.Authenticate(r.t.Context(), from)
	if err == nil {
		_, err = c.send(r.t.Context(), 0xFF, 0xFF, 0xFF, append([]byte{0x0A, 0x9B, byte(to.Len())}, to.Reveal()...)...) // AES-192
	}
	if err := errors.Join(err, c.Close()); err != nil {
		r.t.Fatal(err)
	}
}

// TestStationIntake: a desk without a network knows what the site wants of keys, proves them by itself, and has none of the store's secrets.
func TestStationIntake(t *testing.T) {
	t.Parallel()
	r := newRig(t, 2)
	ctx := t.Context()
	r.plugPIV(vkey.YubiKey571, pivapplet.Options{CA: pivapplet.NewCA("Somebody")})
	r.must("init")
	r.must("device", "genuine", "require", "--roots", r.roots(pivapplet.TestCA()))
	makeStation(r)
	s, i := r.atStation()
	open := func() error {
		all, err := r.bus.find()
		if err != nil {
			t.Fatal(err)
		}
		k, err := i.open(ctx, i.a, all[0], auto)
		if err == nil {
			k.close()
		}
		return err
	}
	unwanted := func(what string, err, why error) {
		t.Helper()
		var u *batch.UnwantedError
		if !errors.As(err, &u) || u.Reason != token.AsideNotGenuine || u.Serial != rigSerial || !errors.Is(err, why) {
			t.Errorf("%s: %v", what, err)
		}
		if proven, err := s.Proven(ctx, rigSerial); proven || err != nil {
			t.Errorf("%s: it is proven, %v", what, err)
		}
	}
	unwanted("a counterfeit", open(), piv.ErrNotGenuine)

	app := r.plugPIV(vkey.YubiKey571, pivapplet.Options{})
	other := secret.Copy(bytes.Repeat([]byte{0x17}, 24))
	r.manages(piv.DefaultManagementKey(), other)
	st := r.open()
	id, err := st.KeepEscrow(ctx, rigSerial, token.PIVManagementKey, other)
	if err := errors.Join(err, st.SettleEscrow(ctx, rigSerial, token.PIVManagementKey, id)); err != nil {
		t.Fatal(err)
	}
	unwanted("a management key that the store has", open(), piv.ErrManagementUnknown)

	r.manages(other, piv.DefaultManagementKey())
	app.ResetCounts()
	for range 2 {
		if err := open(); err != nil {
			t.Fatal(err)
		}
	}
	if proven, err := s.Proven(ctx, rigSerial); !proven || err != nil || app.Counts().Generated != 1 {
		t.Errorf("proven: %v, %v; it was asked %d times", proven, err, app.Counts().Generated)
	}
	if _, err := s.Reserve(ctx, token.Reservation{Serial: 99, Slot: 2, Kind: token.YubicoOTP, PublicID: token.SerialPublicID(99), Proof: token.NoProof}); !errors.Is(err, journal.ErrNotProven) {
		t.Errorf("another key: %v", err)
	}
}

// TestStationSparesOpener: a station knows the keys that its store opens with.
func TestStationSparesOpener(t *testing.T) {
	t.Parallel()
	r, pins, _, _ := newUnlockRig(t)
	r.types(pins, "hq41zn", "hq41zn")
	r.must("init", "--unlock", "piv")
	r.types(pins, "hq41zn")
	makeStation(r)
	if _, i := r.atStation(); len(i.openers) != 1 || i.openers[0] != 11 || i.required {
		t.Errorf("%+v", i)
	}
}
