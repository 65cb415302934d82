package provision

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/ykslot"
)

// of is a spec of a kind.
func of(k token.Kind, o Options) Spec {
	return want(func(s *Spec) { s.Kind, s.Options = k, o })
}

// kindSpecs are one spec of each kind and mode that ends with Enter or needs none.
func kindSpecs() map[string]Spec {
	text := func(s Spec, password string) Spec { s.Own = &OwnSecrets{Key: secret.New([]byte(password))}; return s }
	tabs := ykslot.Flags{Ticket: ykslot.TabFirst | ykslot.AppendTab1 | ykslot.AppendTab2}
	return map[string]Spec{
		"otp with tabs":     of(token.YubicoOTP, Options{Set: tabs}),
		"otp behind text":   of(token.YubicoOTP, Options{Set: ykslot.Flags{Config: ykslot.SendRef}}),
		"hotp":              of(token.HOTP, Options{}),
		"hotp 8 from 4096":  of(token.HOTP, Options{Digits: 8, MovingFactor: 4096}),
		"hotp with id":      of(token.HOTP, Options{TokenID: "-", Set: tabs}),
		"hotp with own id":  of(token.HOTP, Options{TokenID: "ub1234567890"}),
		"hmac":              of(token.ChallengeResponse, Options{}),
		"hmac fixed":        of(token.ChallengeResponse, Options{FixedLength: true}),
		"hmac with touch":   of(token.ChallengeResponse, Options{Touch: true}),
		"yubico":            of(token.ChallengeResponse, Options{Challenge: YubicoChallenge}),
		"yubico with touch": of(token.ChallengeResponse, Options{Challenge: YubicoChallenge, Touch: true}),
		"drawn password":    of(token.Static, Options{}),
		"own password":      text(of(token.Static, Options{Layout: "us"}), "Correct horse, 7 batteries & a staple!"),
		"password, lines":   text(of(token.Static, Options{Layout: "us"}), "a\nb\tc"),
		"password, umlaut":  text(of(token.Static, Options{Layout: "de"}), "Überstraße"),
		"ticket":            of(token.Static, Options{Password: Ticket}),
		"short ticket":      of(token.Static, Options{Password: Ticket, Length: 16, Set: ykslot.Flags{Config: ykslot.StrongPW1 | ykslot.StrongPW2}}),
	}
}

func TestRunKinds(t *testing.T) {
	t.Parallel()
	for name, w := range kindSpecs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, p := range vkey.Profiles() {
				runKind(t, p, w)
			}
		})
	}
}

// runKind writes one kind of slot to one kind of key; firmware that does not have it refuses the plan.
func runKind(t *testing.T, p vkey.Profile, w Spec) {
	t.Helper()
	b := newBench(t, p)
	res, err := b.run(w)
	var old *ykslot.UnsupportedError
	if errors.As(err, &old) && p.Version.Major < 3 {
		return
	}
	if err != nil {
		t.Fatalf("%v: %v", p.Version, err)
	}
	b.agree(p.Version.String())
	steps := []Step{StepReserved, StepSealed, StepWritten, StepTouch, StepProven, StepDone}
	if w.Kind == token.ChallengeResponse && !w.Options.Touch {
		steps = slices.DeleteFunc(steps, func(s Step) bool { return s == StepTouch })
	}
	if !slices.Equal(b.steps, steps) || len(b.mispress) > 0 {
		t.Errorf("steps %v, mispresses %v", b.steps, b.mispress)
	}
	c := b.book.live[2]
	moving := int64(-1)
	if w.Kind == token.HOTP {
		moving = w.Options.MovingFactor
	}
	if res.Proof == nil || res.Proof.Moving != moving || c.State != token.Active || c.Kind != w.Kind {
		t.Errorf("proof %+v of %s, %s", res.Proof, c.Kind, c.State)
	}
	if w.Kind == token.HOTP && (c.Settings.Digits != max(6, w.Options.Digits) || c.Settings.Hash != "sha1" || c.Settings.FirstMoving != moving) {
		t.Errorf("settings %+v", c.Settings)
	}
}

// A key that ends without Enter is proven too, after a silence.
func TestRunWithoutEnter(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	if _, err := b.run(of(token.HOTP, Options{Clear: ykslot.Flags{Ticket: ykslot.AppendCR}})); err != nil {
		t.Fatal(err)
	}
	b.agree("no Enter")
}

// Somebody touched the key before the proof: the counter that counts is that of the press that was read.
func TestHOTPLookAhead(t *testing.T) {
	t.Parallel()
	b := newBench(t, vkey.YubiKey543)
	b.touch = []token.Slot{0}
	if _, err := b.run(of(token.HOTP, Options{MovingFactor: 32})); !errors.Is(err, ErrNoTouch) {
		t.Fatal(err)
	}
	for range 5 {
		b.key.Touch(2)
	}
	b.key.PowerCycle()
	b.touch = nil
	res, err := b.resume()
	if err != nil || res.Rewritten || res.Proof == nil || res.Proof.Moving != 32+5 || b.book.live[2].Counters.Moving != 37 {
		t.Fatalf("%+v, %v", res, err)
	}
}

// Every kind over every kind, killed after each call to the store: resume tells new from former, and a second secret is never drawn.
func TestKilledKinds(t *testing.T) {
	t.Parallel()
	specs := map[string]Spec{"otp": want(nil)}
	for _, name := range []string{"hotp", "hmac", "hmac with touch", "yubico", "own password", "ticket"} {
		specs[name] = kindSpecs()[name]
	}
	for former, f := range specs {
		for name, w := range specs {
			t.Run(fmt.Sprintf("%s over %s", name, former), func(t *testing.T) {
				t.Parallel()
				for n := callSeal; n <= callMarkWritten+1; n++ {
					b := newBench(t, vkey.YubiKey543)
					if _, err := b.run(f); err != nil {
						t.Fatal(err)
					}
					b.killAt(n, w)
					res, err := b.resume()
					if err != nil {
						t.Fatalf("call %d: %v", n, err)
					}
					b.agree(fmt.Sprint("call ", n))
					wants, again := map[int]Outcome{callSeal: Undone, callMarkWriting: Undone, callMarkWritten: Programmed}[n], false
					if name == "own password" && former == name && n > callSeal && n <= callMarkWritten { // both type the same
						wants, again = Programmed, true
					}
					if res.Outcome != wants || len(b.book.sealed) > 2 || res.Rewritten != again {
						t.Errorf("call %d: %s, want %s; rewritten %v", n, res.Outcome, wants, res.Rewritten)
					}
				}
			})
		}
	}
}

// Unplugged, or stalled, at each report of a write of each kind.
func TestDeviceFaultsOfKinds(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hotp", "hmac", "yubico", "own password"} {
		w := kindSpecs()[name]
		for n := 1; ; n++ {
			b := newBench(t, vkey.YubiKey543)
			b.key.SetFaults(vkey.Faults{UnplugAfter: n})
			_, err := b.run(w)
			b.key.SetFaults(vkey.Faults{})
			b.key.PowerCycle()
			if _, err := b.resume(); err != nil {
				t.Errorf("%s at report %d: resume: %v", name, n, err)
			}
			b.agree(name)
			if err == nil && n > 15 {
				break
			}
		}
	}
}

func TestRefusedKinds(t *testing.T) {
	t.Parallel()
	empty := func(v ykslot.Version) Have { return Have{Serial: serial, Version: v} }
	with := func(s Spec, f func(*Spec)) Spec { f(&s); return s }
	v543, v22, v24 := ykslot.Version{Major: 5, Minor: 4, Patch: 3}, ykslot.Version{Major: 2, Minor: 2}, ykslot.Version{Major: 2, Minor: 4, Patch: 3}
	for name, tc := range map[string]struct {
		spec Spec
		have Have
		want error
	}{
		"totp":                   {of(token.TOTP, Options{}), empty(v543), ErrBadSpec},
		"digits of an otp":       {of(token.YubicoOTP, Options{Digits: 8}), empty(v543), ErrBadSpec},
		"7 digits":               {of(token.HOTP, Options{Digits: 7}), empty(v543), ErrBadSpec},
		"moving factor 17":       {of(token.HOTP, Options{MovingFactor: 17}), empty(v543), ErrBadSpec},
		"token id":               {of(token.HOTP, Options{TokenID: "xx"}), empty(v543), ErrBadSpec},
		"layout":                 {of(token.Static, Options{Layout: "klingon"}), empty(v543), ErrBadSpec},
		"39 characters":          {of(token.Static, Options{Length: 39}), empty(v543), ErrBadSpec},
		"@ on de":                {with(of(token.Static, Options{Layout: "de"}), func(s *Spec) { s.Own = &OwnSecrets{Key: secret.New([]byte("a@b"))} }), empty(v543), ErrBadSpec},
		"key of 21 bytes":        {with(of(token.HOTP, Options{}), func(s *Spec) { s.Own = &OwnSecrets{Key: secret.New(make([]byte, 21))} }), empty(v543), ErrBadSpec},
		"enter of hmac":          {of(token.ChallengeResponse, Options{Set: ykslot.Flags{Ticket: ykslot.AppendCR}}), empty(v543), ErrBadSpec},
		"short ticket of hotp":   {of(token.HOTP, Options{Set: ykslot.Flags{Config: ykslot.ShortTicket}}), empty(v543), ErrBadSpec},
		"strong-pw1 of hotp":     {of(token.HOTP, Options{TokenID: "-", Set: ykslot.Flags{Config: ykslot.StrongPW1}}), empty(v543), ErrBadSpec},
		"pacing of fixed hmac":   {of(token.ChallengeResponse, Options{FixedLength: true, Set: ykslot.Flags{Config: ykslot.Pacing10ms}}), empty(v543), ErrBadSpec},
		"pacing of yubico":       {of(token.ChallengeResponse, Options{Challenge: YubicoChallenge, Set: ykslot.Flags{Config: ykslot.Pacing20ms}}), empty(v543), ErrBadSpec},
		"short scan codes":       {of(token.Static, Options{Set: ykslot.Flags{Config: ykslot.ShortTicket}}), empty(v543), ErrBadSpec},
		"short ticket of 32":     {of(token.Static, Options{Password: Ticket, Length: 32, Set: ykslot.Flags{Config: ykslot.ShortTicket}}), empty(v543), ErrBadSpec},
		"long ticket of 16":      {of(token.Static, Options{Password: Ticket, Length: 16, Clear: ykslot.Flags{Config: ykslot.ShortTicket}}), empty(v543), ErrBadSpec},
		"length of own password": {with(of(token.Static, Options{Length: 8}), func(s *Spec) { s.Own = &OwnSecrets{Key: secret.New([]byte("bcd"))} }), empty(v543), ErrBadSpec},
		"touch proof of hmac":    {with(of(token.HOTP, Options{}), func(s *Spec) { s.Verify = token.ByHost }), empty(v543), ErrBadSpec},
		"fixed yubico":           {of(token.ChallengeResponse, Options{Challenge: YubicoChallenge, FixedLength: true}), empty(v543), ErrBadSpec},
		"dormant":                {of(token.YubicoOTP, Options{Set: ykslot.Flags{Ext: ykslot.Dormant}}), empty(v543), ErrBadSpec},
		"hidden":                 {of(token.YubicoOTP, Options{Clear: ykslot.Flags{Ext: ykslot.SerialAPIVisible}}), empty(v543), ErrHidden},
		"zero code":              {with(want(nil), func(s *Spec) { s.AccessCode, s.Own = GivenCode, &OwnSecrets{AccessCode: secret.New(make([]byte, 6))} }), empty(v543), ErrBadSpec},
		"keypad on 5":            {of(token.YubicoOTP, Options{Set: ykslot.Flags{Ext: ykslot.UseNumericKeypad}}), empty(v543), nil},
		"led on 2.2":             {of(token.YubicoOTP, Options{Set: ykslot.Flags{Ext: ykslot.LEDInv}}), empty(v22), nil},
		"man-update on 5":        {of(token.Static, Options{Password: Ticket, Set: ykslot.Flags{Config: ykslot.ManUpdate}}), empty(v543), nil},
		"delay on 5":             {of(token.YubicoOTP, Options{Set: ykslot.Flags{Ticket: ykslot.AppendDelay1}}), empty(v543), nil},
		"serial at power-up, 5":  {of(token.HOTP, Options{Set: ykslot.Flags{Ext: ykslot.SerialBtnVisible}}), empty(v543), nil},
		"dormant on 2.2":         {with(of(token.HOTP, Options{Set: ykslot.Flags{Ext: ykslot.Dormant | ykslot.AllowUpdate}}), func(s *Spec) { s.Verify = token.NoProof }), empty(v22), nil},
		"keypad on 2.4 is taken": {of(token.HOTP, Options{Set: ykslot.Flags{Ext: ykslot.UseNumericKeypad}}), empty(v24), errTaken},
	} {
		_, err := BuildPlan(tc.spec, tc.have)
		var refused *RefusedError
		var old *ykslot.UnsupportedError
		switch {
		case tc.want == errTaken:
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case !errors.As(err, &refused):
			t.Errorf("%s: %v", name, err)
		case tc.want == nil && !errors.As(err, &old), tc.want != nil && !errors.Is(err, tc.want):
			t.Errorf("%s: %v", name, err)
		}
	}
}

var errTaken = errors.New("it is taken")
