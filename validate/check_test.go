package validate_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/validate/store/memory"
)

// fake is a store that holds one thing for whoever asks. It counts what would be durable writes.
type fake struct {
	*memory.Store
	mu     sync.Mutex
	h      validate.Holding
	req    validate.AttemptRequest
	ruling validate.Ruling
	writes int
}

func (f *fake) Attempt(ctx context.Context, req validate.AttemptRequest, decide func(validate.Holding) validate.Ruling) error {
	h, err := f.Look(ctx, req)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ruling = decide(h)
	if f.ruling.Event != nil {
		f.writes++
		f.h.Throttle, f.h.Budget = f.ruling.Throttle, f.ruling.Budget
	}
	return err
}

func (f *fake) Look(_ context.Context, req validate.AttemptRequest) (validate.Holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.req = req
	h := f.h
	if !req.OATH {
		h.Credentials = nil
	}
	if req.Spoken == "" {
		h.Codes = nil
	}
	if req.Browser == "" {
		h.Browser = 0
	}
	return h, nil
}

// candidate is a credential with the RFCs' seed.
func candidate(t testing.TB, id int, kind token.Kind, m token.Model, moving int64, enabled bool) validate.Candidate {
	r := oathRow(moving, token.Clock{})
	r.Enabled = enabled
	if !enabled {
		r.Token = token.Lost
	}
	r.Counters.At = now
	return validate.Candidate{ID: token.CredentialID(id), Token: token.ID(id), Kind: kind, Model: m, Period: period, Generator: rfcGenerator(t), Row: r}
}

// holder is a store of which person 7 holds these.
func holder(list ...validate.Candidate) *fake {
	return &fake{Store: new(memory.Store), h: validate.Holding{Known: true, Person: 7, Groups: []string{"staff"}, Subject: "person 7", Credentials: list}}
}

func (f *fake) checker() *validate.Checker {
	clock := func() time.Time { return now }
	return validate.NewChecker(f, validate.New(f, clock), clock)
}

func check(t *testing.T, c *validate.Checker, f validate.Factor) validate.Checked {
	t.Helper()
	if f.Serial == "" {
		f.Account = "anna"
	}
	got, err := c.Check(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestForms(t *testing.T) {
	t.Parallel()
	otp := newDesk(t, token.Active).press(t, 1, 0)
	for _, tc := range []struct {
		name, text, spoken string
		oath, known        bool
	}{
		{"six digits", "123456", "", true, true},
		{"eight digits", "12345678", "", true, true},
		{"as people type it", " 123 456\r\n", "", true, true},
		{"spoken", "7KM4Q-2X9AB", "7KM4Q2X9AB", false, true},
		{"spoken, small, blanks", " 7km4q 2x9ab ", "7KM4Q2X9AB", false, true},
		{"spoken, digits only", "23456 78923", "2345678923", false, true},
		{"an OTP", otp, "", false, true},
		{"nothing", "", "", false, false},
		{"five digits", "12345", "", false, false},
		{"nine digits", "123456789", "", false, false},
		{"spoken with a zero", "0KM4Q-2X9AB", "", false, false},
		{"eleven characters", "7KM4Q-2X9ABC", "", false, false},
		{"Arabic digits", "١٢٣٤٥٦", "", false, false},
		{"a password", "correct horse battery staple", "", false, false},
	} {
		f := holder()
		got := check(t, f.checker(), validate.Factor{Text: tc.text})
		if f.req.OATH != tc.oath || f.req.Spoken != tc.spoken || (got.Reason == validate.ReasonMalformed) == tc.known || got.Outcome != validate.BadOTP {
			t.Errorf("%s: asked for %+v, %q", tc.name, f.req, got.Reason)
		}
		if !tc.known && (f.req != validate.AttemptRequest{} || f.writes != 0) {
			t.Errorf("%s: the store was asked", tc.name)
		}
	}
	for _, f := range []validate.Factor{{Text: "123456"}, {Account: "a", Serial: "1", Text: "123456"}} {
		if _, err := holder().checker().Check(t.Context(), f); !errors.Is(err, validate.ErrSubject) {
			t.Errorf("%+v: %v", f, err)
		}
	}
}

// TestRule is what becomes of a code, by what the store holds.
func TestRule(t *testing.T) {
	t.Parallel()
	step := oath.Step(now, period)
	g := rfcGenerator(t)
	hotp, totp := g.Code(5), g.Code(step)
	hardware := candidate(t, 3, token.TOTP, token.Hardware, step-50, true)
	hardware.Row.Counters.At = now.Add(-90 * day)
	charged := func(h *validate.Holding) { h.Throttle = validate.Throttle{Failures: 3, At: now.Add(-time.Hour)} }
	for _, tc := range []struct {
		name           string
		list           []validate.Candidate
		change         func(*validate.Holding)
		text           string
		reason         validate.Reason
		token          token.ID
		accept, spend  int64 // moving factor; 0: none
		failures, used int
	}{
		{"TOTP", []validate.Candidate{candidate(t, 1, token.TOTP, token.App, -1, true)}, nil, totp, validate.ReasonAccepted, 1, step, 0, 0, 0},
		{"HOTP", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 0, true)}, nil, hotp, validate.ReasonAccepted, 1, 5, 0, 0, 0},
		{"failures are forgotten", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 0, true)}, charged, hotp, validate.ReasonAccepted, 1, 5, 0, 0, 0},
		{"wrong", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 0, true)}, charged, "000000", validate.ReasonWrong, 0, 0, 0, 4, 1},
		{"wide window after a pause", []validate.Candidate{hardware}, nil, g.Code(step - 4), validate.ReasonAccepted, 3, step - 4, 0, 0, 0},
		{"blocked", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 0, false)}, nil, hotp, validate.ReasonBlocked, 1, 0, 5, 1, 1},
		{"used before", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 5, true)}, charged, hotp, validate.ReasonSame, 1, 0, 0, 3, 0},
		{"used before, right for another token", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 5, true), candidate(t, 2, token.HOTP, token.Hardware, 4, true)},
			nil, hotp, validate.ReasonSame, 1, 0, 0, 0, 0},
		{"the second token", []validate.Candidate{candidate(t, 1, token.HOTP, token.Hardware, 90, true), candidate(t, 2, token.TOTP, token.App, -1, true)},
			nil, totp, validate.ReasonAccepted, 2, step, 0, 0, 0},
		{"no token", nil, nil, totp, validate.ReasonWrong, 0, 0, 0, 1, 1},
		{"too soon", []validate.Candidate{candidate(t, 1, token.TOTP, token.App, -1, true)}, func(h *validate.Holding) { h.Throttle = validate.Throttle{Failures: 3, At: now} },
			totp, validate.ReasonThrottled, 0, 0, 0, 3, 0},
		{"locked", []validate.Candidate{candidate(t, 1, token.TOTP, token.App, -1, true)}, func(h *validate.Holding) { h.Throttle = validate.Throttle{Failures: 10, At: now.Add(-time.Hour)} },
			totp, validate.ReasonLocked, 0, 0, 0, 10, 0},
		{"the client's budget", []validate.Candidate{candidate(t, 1, token.TOTP, token.App, -1, true)}, func(h *validate.Holding) { h.Budget = validate.Budget{Used: 1000, At: now} },
			totp, validate.ReasonBudget, 0, 0, 0, 0, 1000},
		{"unknown", nil, func(h *validate.Holding) { *h = validate.Holding{Subject: "unknown"} }, totp, validate.ReasonNobody, 0, 0, 0, 1, 0},
		{"unknown, often", nil, func(h *validate.Holding) {
			*h = validate.Holding{Subject: "unknown", Throttle: validate.Throttle{Failures: 10, At: now}}
		},
			totp, validate.ReasonNobody, 0, 0, 0, 1, 0},
		{"another group", []validate.Candidate{candidate(t, 1, token.TOTP, token.App, -1, true)}, func(h *validate.Holding) { h.Groups = nil }, totp, validate.ReasonNotAllowed, 0, 0, 0, 0, 0},
	} {
		f := holder(tc.list...)
		if tc.change != nil {
			tc.change(&f.h)
		}
		got := check(t, f.checker(), validate.Factor{Text: tc.text, Client: validate.Client{ID: 3, Groups: []string{"staff"}}, Source: "192.0.2.7"})
		r := f.ruling
		if got.Reason != tc.reason || (got.Outcome == validate.Accepted) != (tc.accept != 0) || got.Token != tc.token {
			t.Errorf("%s: %+v, want %q of token %d", tc.name, got, tc.reason, tc.token)
		}
		if moving(r.Accept) != tc.accept || moving(r.Spend) != tc.spend || r.Throttle.Failures != tc.failures || r.Budget.Used != tc.used || f.writes != 1 {
			t.Errorf("%s: accept %d, spend %d, failures %d, used %d, %d writes; want %+v", tc.name, moving(r.Accept), moving(r.Spend), r.Throttle.Failures, r.Budget.Used, f.writes, tc)
		}
		want := validate.Event{Client: 3, Source: "192.0.2.7", Kind: got.Kind, Person: got.Person, Token: got.Token, Result: string(got.Outcome), Reason: got.Reason}
		if r.Event == nil || *r.Event != want {
			t.Errorf("%s: event %+v, want %+v", tc.name, r.Event, want)
		}
	}
}

// moving is the moving factor of the only one.
func moving(list []validate.Advance) int64 {
	if len(list) != 1 {
		return int64(-len(list))
	}
	return list[0].Moving
}

// TestPrefix: a YubiKey may name itself before a HOTP code; then no other credential is compared.
func TestPrefix(t *testing.T) {
	t.Parallel()
	byID, byLabel := candidate(t, 1, token.HOTP, token.YubiKey, 3, true), candidate(t, 2, token.HOTP, token.Hardware, 4, true)
	byID.TypedID, byLabel.Label = "ubhecccccccb", "UBHE00123456"
	totp := candidate(t, 3, token.TOTP, token.App, -1, true)
	totp.Label = "ubhe00123457"
	code := byID.Generator.Code(5)
	for _, tc := range []struct {
		text   string
		reason validate.Reason
		token  token.ID
		used   int
	}{
		{"ubhecccccccb" + code, validate.ReasonAccepted, 1, 0},
		{" UBHE00123456" + code + "\n", validate.ReasonAccepted, 2, 0},
		{"ubhe00123458" + code, validate.ReasonWrong, 0, 1},
		{"ubhe00123457" + totp.Generator.Code(oath.Step(now, period)), validate.ReasonWrong, 0, 1},
		{"ubhecccccccb" + "000000", validate.ReasonWrong, 0, 1},
		{"ubhecccccccb" + byID.Generator.Code(3), validate.ReasonSame, 1, 0},
		{"ubhecccccccb" + "00" + code, validate.ReasonWrong, 0, 1},
		{"ubhecccccccb" + "0" + code, validate.ReasonMalformed, 0, 0},
		{"uzhecccccccb" + code, validate.ReasonMalformed, 0, 0},
	} {
		f := holder(byID, byLabel, totp)
		got := check(t, f.checker(), validate.Factor{Text: tc.text})
		if got.Reason != tc.reason || got.Token != tc.token || f.ruling.Throttle.Failures != tc.used || f.ruling.Budget.Used != tc.used {
			t.Errorf("%q: %+v, %+v", tc.text, got, f.ruling)
		}
	}
}

// TestSpokenRule is what becomes of a temporary or recovery code.
func TestSpokenRule(t *testing.T) {
	t.Parallel()
	locked := validate.Throttle{Failures: 10, At: now}
	for _, tc := range []struct {
		name     string
		code     validate.Code
		throttle validate.Throttle
		reason   validate.Reason
		left     int
		used     int
	}{
		{"temp", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 3, Expires: now.Add(1)}, validate.Throttle{}, validate.ReasonAccepted, 2, 0},
		{"recovery", validate.Code{Kind: validate.KindRecovery, Right: true, UsesLeft: 1}, validate.Throttle{}, validate.ReasonAccepted, 2, 0},
		{"while locked", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 1}, locked, validate.ReasonAccepted, 0, 0},
		{"expired", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 3, Expires: now}, validate.Throttle{}, validate.ReasonExpired, 0, 1},
		{"used up", validate.Code{Kind: validate.KindRecovery, Right: true}, validate.Throttle{}, validate.ReasonUsedUp, 0, 1},
		{"withdrawn", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 1, Revoked: true}, validate.Throttle{}, validate.ReasonWithdrawn, 0, 1},
		{"this client's", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 1, Client: 3}, validate.Throttle{}, validate.ReasonAccepted, 0, 0},
		{"another client's", validate.Code{Kind: validate.KindTemp, Right: true, UsesLeft: 1, Client: 4}, validate.Throttle{}, validate.ReasonOtherClient, 0, 1},
		{"wrong", validate.Code{Kind: validate.KindTemp, UsesLeft: 1}, validate.Throttle{}, validate.ReasonWrong, 0, 1},
	} {
		f := holder()
		tc.code.ID = 9
		f.h.Throttle = tc.throttle
		f.h.Codes = []validate.Code{{ID: 1, Kind: validate.KindRecovery, UsesLeft: 1}, tc.code, {ID: 2, Kind: validate.KindRecovery, UsesLeft: 1}, {ID: 3, Kind: validate.KindRecovery}}
		got := check(t, f.checker(), validate.Factor{Text: "7KM4Q-2X9AB", Client: validate.Client{ID: 3}})
		ok := tc.reason == validate.ReasonAccepted
		if got.Reason != tc.reason || (got.Outcome == validate.Accepted) != ok || got.CodesLeft != tc.left || tc.code.Right != (got.Kind == tc.code.Kind) {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if (f.ruling.Code == 9) != ok || f.ruling.Budget.Used != tc.used || f.ruling.Throttle.Failures != 0 {
			t.Errorf("%s: %+v", tc.name, f.ruling)
		}
	}
}

func TestBrowserRule(t *testing.T) {
	t.Parallel()
	app := candidate(t, 1, token.TOTP, token.App, -1, true)
	code := app.Generator.Code(oath.Step(now, period))
	otp := newDesk(t, token.Active).press(t, 1, 0)
	for _, tc := range []struct {
		name, text string
		trusted    bool
		groups     []string
		reason     validate.Reason
		kind       string
		writes     int
	}{
		{"trusted", "", true, nil, validate.ReasonAccepted, validate.KindBrowser, 1},
		{"trusted, with a code, which stays good", code, true, nil, validate.ReasonAccepted, validate.KindBrowser, 1},
		{"trusted, with a word", "word", true, nil, validate.ReasonAccepted, validate.KindBrowser, 1},
		{"trusted, another group", "", true, []string{"students"}, validate.ReasonMalformed, "", 0},
		{"wrong", "", false, nil, validate.ReasonMalformed, "", 0},
		{"wrong, with a code", code, false, nil, validate.ReasonAccepted, "totp", 1},
		{"wrong, with an OTP", otp, false, nil, validate.ReasonUnknown, "yubico-otp", 0},
	} {
		f := holder(app)
		f.h.Throttle = validate.Throttle{Failures: 2, At: now.Add(-day)}
		if tc.trusted {
			f.h.Browser = 4
		}
		got := check(t, f.checker(), validate.Factor{Text: tc.text, Browser: "value", Client: validate.Client{ID: 3, Groups: tc.groups}})
		if got.Reason != tc.reason || got.Kind != tc.kind || f.writes != tc.writes {
			t.Errorf("%s: %+v, %d writes", tc.name, got, f.writes)
		}
		if tc.kind == validate.KindBrowser && (f.ruling.Browser != 4 || f.ruling.Throttle.Failures != 2 || f.ruling.Accept != nil) {
			t.Errorf("%s: %+v", tc.name, f.ruling)
		}
	}
}

// TestYubicoOTPs: one that is not the subject's is refused before it is spent, and none counts as a failure.
func TestYubicoOTPs(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active) // nobody holds its token, which is 1
	f := &fake{Store: d.store, h: validate.Holding{Known: true, Person: 7, Subject: "person 7"}}
	c := f.checker()
	for _, tc := range []struct {
		name   string
		h      validate.Holding
		text   string
		reason validate.Reason
		events int
	}{
		{"of another holder", validate.Holding{Known: true, Person: 7}, d.press(t, 1, 0), validate.ReasonOtherHolder, 1},
		{"of another token", validate.Holding{Known: true, Token: 9}, d.press(t, 1, 0), validate.ReasonOtherHolder, 1},
		{"nobody", validate.Holding{}, d.press(t, 1, 0), validate.ReasonNobody, 1},
		{"still good", validate.Holding{Known: true, Token: 1}, d.press(t, 1, 0), validate.ReasonAccepted, 1},
		{"again", validate.Holding{Known: true, Token: 1}, d.press(t, 1, 0), validate.ReasonSame, 1},
		{"changed", validate.Holding{Known: true, Token: 1}, d.c.PublicID.String() + strings.Repeat("c", 32), validate.ReasonCRC, 1},
		{"unknown", validate.Holding{Known: true, Token: 1}, strings.Repeat("c", 44), validate.ReasonUnknown, 0},
	} {
		f.h, f.writes = tc.h, 0
		before := len(d.store.Events())
		serial := validate.Factor{Serial: "1", Text: tc.text, Client: validate.Client{ID: 3}}
		got := check(t, c, serial)
		if err := c.Note(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if got.Reason != tc.reason || got.Kind != "yubico-otp" || (got.Outcome == validate.Accepted) != (tc.reason == validate.ReasonAccepted) || got.Outcome == validate.Replayed {
			t.Errorf("%s: %+v", tc.name, got)
		}
		if f.writes != 0 || len(d.store.Events())-before != tc.events {
			t.Errorf("%s: %d writes of the throttle, %d events", tc.name, f.writes, len(d.store.Events())-before)
		}
	}
}

// TestBlockedYubicoOTP: what is pressed on a blocked key is dead afterwards, whoever is named.
func TestBlockedYubicoOTP(t *testing.T) {
	t.Parallel()
	d := newDesk(t, token.Active)
	f := &fake{Store: d.store, h: validate.Holding{Known: true, Person: 7}}
	if err := d.store.Change(d.id, token.Suspend); err != nil {
		t.Fatal(err)
	}
	if got := check(t, f.checker(), validate.Factor{Text: d.press(t, 5, 0)}); got.Reason != validate.ReasonOtherHolder || got.Result.Noted() {
		t.Errorf("%+v", got)
	}
	if err := d.store.Change(d.id, token.Restore); err != nil {
		t.Fatal(err)
	}
	f.h = validate.Holding{Known: true, Token: 1}
	if got := check(t, f.checker(), validate.Factor{Text: d.press(t, 5, 0)}); got.Reason != validate.ReasonSame {
		t.Errorf("the same OTP later: %q", got.Reason)
	}
}

// TestTheSameWork: whether the subject is known, throttled or locked, it takes as many HMACs and as many durable writes.
func TestTheSameWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*validate.Holding)
	}{
		{"wrong", func(*validate.Holding) {}},
		{"too soon", func(h *validate.Holding) { h.Throttle = validate.Throttle{Failures: 3, At: now} }},
		{"locked", func(h *validate.Holding) { h.Throttle = validate.Throttle{Failures: 10, At: now} }},
		{"budget", func(h *validate.Holding) { h.Budget = validate.Budget{Used: 1000, At: now} }},
		{"no token", func(h *validate.Holding) { h.Credentials = nil }},
		{"unknown", func(h *validate.Holding) { *h = validate.Holding{Subject: "unknown"} }},
		{"not allowed", func(h *validate.Holding) { h.Groups = nil }},
		{"blocked", func(h *validate.Holding) { h.Credentials[0].Row.Enabled = false }},
	} {
		f := holder(candidate(t, 1, token.TOTP, token.App, -1, true))
		tc.change(&f.h)
		c, hmacs := f.checker(), 0
		c.CountHMACs(&hmacs)
		got := check(t, c, validate.Factor{Text: "000000", Client: validate.Client{ID: 3, Groups: []string{"staff"}}})
		if got.Outcome != validate.BadOTP || hmacs != 3 || f.writes != 1 || f.ruling.Event == nil {
			t.Errorf("%s: %s, %d HMACs, %d writes", tc.name, got.Outcome, hmacs, f.writes)
		}
	}
}

// FuzzText: whatever is typed is decided about without an error, nothing is accepted that fits nothing, and the text is in no answer.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "123456", " 123 456 ", "12345678", "7KM4Q-2X9AB", "7km4q 2x9ab", strings.Repeat("c", 44), strings.Repeat("j", 32), "123456\x00", "\xff\xfe", "١٢٣٤٥٦", "000000000"} {
		f.Add(s)
	}
	store := holder(validate.Candidate{ID: 1, Token: 1, Kind: token.HOTP, Generator: rfcGenerator(f), Row: oathRow(-1, token.Clock{})})
	store.h.Codes = []validate.Code{{ID: 1, Kind: validate.KindTemp, UsesLeft: 1}}
	c := store.checker()
	g := rfcGenerator(f)
	f.Fuzz(func(t *testing.T, text string) {
		store.h.Throttle, store.h.Budget = validate.Throttle{}, validate.Budget{}
		store.req, store.ruling = validate.AttemptRequest{}, validate.Ruling{}
		got, err := c.Check(t.Context(), validate.Factor{Account: "anna", Text: text})
		if err != nil {
			t.Fatal(err)
		}
		fits := false
		for n := range int64(12) {
			fits = fits || n < 11 && strings.ReplaceAll(strings.Trim(text, validate.Space), " ", "") == g.Code(n)
		}
		if (got.Outcome == validate.Accepted) != fits || got.Outcome != validate.Accepted && got.Outcome != validate.BadOTP {
			t.Fatalf("%q: %s, fits %v", text, got.Outcome, fits)
		}
		code := store.req.OATH || store.req.Spoken != ""
		if code != (store.ruling.Event != nil) || store.req.OATH && store.req.Spoken != "" || len(store.req.Spoken) != 0 && len(store.req.Spoken) != token.CodeLen {
			t.Fatalf("%q: asked for %+v", text, store.req)
		}
	})
}
