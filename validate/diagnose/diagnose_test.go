package diagnose_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
	"github.com/tokendesk/tokendesk/ykslot/modhex"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// sample is a question of which the first finding is known.
type sample struct {
	code, evidence string
	public         bool // it may be shown before a first factor
	ask            func(w *world) diagnose.Question
}

// samples has one for each cause.
func samples(t *testing.T) []sample {
	return []sample{
		{"D01", "nothing but blanks and special spaces", true, func(*world) diagnose.Question { return diagnose.Question{Text: " \u00a0\r\n"} }},
		{"D02", "40 characters, a key types 44", true, func(w *world) diagnose.Question { return diagnose.Question{Text: w.press(t, "anna", nil)[:40]} }},
		{"D03", "2 one-time passwords", true, func(w *world) diagnose.Question {
			return diagnose.Question{Text: w.press(t, "anna", nil) + w.press(t, "anna", func(o *yubiotp.Token) { o.SessionCounter++ })}
		}},
		{"D04", "capital letters", true, func(w *world) diagnose.Question {
			return accepted(strings.ToUpper(w.press(t, "anna", nil)))
		}},
		{"D05", "if the keyboard is Kyrgyz or Russian or ", true, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: typedOn(t, "Russian", w.press(t, "anna", nil))}
		}},
		{"D06", "code of DISPLAY if the keyboard is ", true, func(*world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: typedOn(t, "French", made(t, "display", oath.SHA1, 6, 2003))}
		}},
		{"D07", "full-width characters", true, func(w *world) diagnose.Question {
			return accepted(strings.Map(func(r rune) rune { return r - '!' + '！' }, w.press(t, "anna", nil)))
		}},
		{"D08", "only a key that types letters", false, func(*world) diagnose.Question { return diagnose.Question{Account: "carl", Text: "123456"} }},
		{"D09", "glued", true, func(w *world) diagnose.Question {
			return diagnose.Question{Text: "Secret word!" + w.press(t, "anna", nil)}
		}},
		{"D10", "no credential has this public ID", false, func(w *world) diagnose.Question { return diagnose.Question{Text: w.press(t, "elsewhere", nil)} }},
		{"D11", "slot 1 was touched, slot 2 is in use", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "factoryanna", nil)}
		}},
		{"D12", "slot 2 was touched, slot 1 is in use", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "olds2", nil)}
		}},
		{"D13", "serial 2001 is held by berta", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "berta", nil)}
		}},
		{"D14", "serial 5001 was not issued", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "stock", nil)}
		}},
		{"D15", "serial 1003 was retired; in use is serial 1002", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "retired", nil)}
		}},
		{"D16", "the rest does not decrypt", false, func(w *world) diagnose.Question {
			otp := w.press(t, "anna", nil)
			return diagnose.Question{Account: "anna", Text: otp[:43] + modhex.Alphabet[strings.IndexByte(modhex.Alphabet, otp[43])^1:][:1]}
		}},
		{"D17", "the private ID is another", false, func(w *world) diagnose.Question {
			s := w.secrets[1]
			text := w.press(t, "anna", nil)
			s.PrivateID = w.secrets[3].PrivateID
			w.secrets[1] = s
			return diagnose.Question{Account: "anna", Text: text}
		}},
		{"D18", "a code of GONE, which was revoked", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "gone", 0)}
		}},
		{"D19", "counters 5/5 are those of the last one", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", func(o *yubiotp.Token) { *o = yubiotp.Token{UseCounter: 5, SessionCounter: 5, Timestamp: 8000} })}
		}},
		{"D20", "counters 4/200, the last were 5/5", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", func(o *yubiotp.Token) { o.UseCounter, o.SessionCounter = 4, 200 })}
		}},
		{"D21", "after 500 more presses", false, func(*world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: made(t, "display", oath.SHA1, 6, 2501)}
		}},
		{"D22", "5 codes ago", false, func(*world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: made(t, "display", oath.SHA1, 6, 1995)}
		}},
		{"D23", "is 4 min 30 s behind", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9)}
		}},
		{"D24", "is 2 h ahead", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 240)}
		}},
		{"D25", "the next comes in 23 s", false, func(w *world) diagnose.Question {
			w.held[6].Credential.Counters.Moving = oath.Step(now, 30*time.Second)
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0)}
		}},
		{"D26", "sha1, 6 digits, 30 s", false, func(w *world) diagnose.Question {
			w.held[6].Credential.Settings.Hash = "sha512"
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0)}
		}},
		{"D27", "EXPIRED, which was never confirmed", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "expired", 0)}
		}},
		{"D28", "credentials tried", false, func(w *world) diagnose.Question { return diagnose.Question{Account: "dora", Text: "000000"} }},
		{"D29", "serial 1004 is lost (lost) since 2026-03-04 09:00:07 UTC", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "lost", nil)}
		}},
		{"D30", "10 wrong codes in a row; the next counts from 2026-03-05", false, func(w *world) diagnose.Question {
			w.failures["anna"] = 10
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0)}
		}},
		{"D31", "expired code", false, func(*world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "7KM4Q-2X9AB", Checked: &validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonExpired, Kind: validate.KindTemp}}
		}},
		{"D32", "SETUP was not confirmed", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "setup", 0)}
		}},
		{"D33", "2 h behind the newest event", false, func(w *world) diagnose.Question {
			w.health.Clock = 2 * time.Hour
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 240)}
		}},
		{"D34", "refused with BAD_SIGNATURE", false, func(w *world) diagnose.Question {
			return diagnose.Question{Text: w.press(t, "anna", nil), Status: "BAD_SIGNATURE"}
		}},
		{"D35", "nothing can be written", false, func(w *world) diagnose.Question {
			w.health.ReadOnly = true
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", nil)}
		}},
		{"D36", "do not belong to one key", false, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", func(o *yubiotp.Token) { *o = yubiotp.Token{UseCounter: 5, SessionCounter: 5, Timestamp: 1} })}
		}},
		{"D37", "use counter 32001 of 32767", false, func(w *world) diagnose.Question {
			return accepted(w.press(t, "anna", func(o *yubiotp.Token) { o.UseCounter = 32001 }))
		}},
		{"D38", "1 of 2 fresh one-time passwords were seen", false, func(w *world) diagnose.Question {
			w.held[0].Credential.Caution, w.held[0].Credential.Enabled = 1, false
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", nil), Checked: &validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonCautious}}
		}},
	}
}

// TestCatalogue: each cause has a sample, and the sample's first finding is that cause with that evidence.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	for i, tc := range samples(t) {
		if want := fmt.Sprintf("D%02d", i+1); tc.code != want {
			t.Fatalf("row %d is %s", i, tc.code)
		}
		t.Run(tc.code, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			q := tc.ask(w)
			list := diagnosed(t, w, q)
			if len(list) == 0 || list[0].Code != tc.code || !strings.Contains(list[0].Evidence, tc.evidence) {
				t.Fatalf("got %s", lines(list))
			}
			f := list[0]
			if f.Title == "" || f.Cause == "" || f.User == "" || f.Helper == "" {
				t.Errorf("a field is empty: %+v", f)
			}
			public := slices.ContainsFunc(diagnose.Public(list), func(p diagnose.Finding) bool { return p.Code == tc.code })
			if public != tc.public {
				t.Errorf("public: %v", public)
			}
			quiet(t, list, q.Text)
			alone := diagnosed(t, &world{}, diagnose.Question{Text: q.Text})
			if got, want := lines(diagnose.Public(list)), lines(diagnose.Public(alone)); got != want && q.Checked == nil {
				t.Errorf("public findings tell of more than the text: %s and %s", got, want)
			}
		})
	}
}

// accepted is a question about an OTP that the check took.
func accepted(text string) diagnose.Question {
	return diagnose.Question{Account: "anna", Text: text, Checked: &validate.Checked{Outcome: validate.Accepted, Reason: validate.ReasonAccepted, Kind: "yubico-otp"}}
}

func diagnosed(t testing.TB, w *world, q diagnose.Question) []diagnose.Finding {
	t.Helper()
	list, err := w.doctor().Diagnose(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func lines(list []diagnose.Finding) string {
	var b strings.Builder
	for _, f := range list {
		fmt.Fprintf(&b, "\n%s %s: %s", f.Code, f.Title, f.Evidence)
	}
	return b.String()
}

// quiet finds typed text in what is said: five characters of it in a row, or a code.
func quiet(t testing.TB, list []diagnose.Finding, text string) {
	t.Helper()
	said, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	runes := []rune(text)
	for i := 0; i+6 <= len(runes); i++ {
		if part := string(runes[i : i+6]); strings.TrimSpace(part) != "" && strings.Contains(string(said), part) {
			t.Errorf("a part of the typed text is said")
		}
	}
}

// TestSeveralHold: more than one cause at once, the likeliest first.
func TestSeveralHold(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		want []string
		ask  func(w *world) diagnose.Question
	}{
		"lost, on another layout, older": {[]string{"D29", "D20", "D05"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: typedOn(t, "English (Dvorak)", w.press(t, "lost", func(o *yubiotp.Token) { o.UseCounter = 1 }))}
		}},
		"the account is an OTP": {[]string{"D09", "D02", "D10"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: w.press(t, "anna", nil), Text: w.press(t, "anna", nil)[:38]}
		}},
		"refused twice in a row, then checked": {[]string{"D19"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", func(o *yubiotp.Token) { *o = yubiotp.Token{UseCounter: 5, SessionCounter: 5, Timestamp: 8000} })}
		}},
		"another token of the same person": {[]string{"D18"}, func(w *world) diagnose.Question {
			return diagnose.Question{Serial: "1001", Text: w.code(t, "app", 0)}
		}},
		"a lost key, whose counters the check raised": {[]string{"D29"}, func(w *world) diagnose.Question {
			c := &w.held[5].Credential
			r := validate.Result{Outcome: validate.BadOTP, Opened: true, Credential: c.ID, Row: validate.Row{State: token.Active, Token: token.Lost, Counters: c.Counters}}
			c.Counters.Use, c.Counters.Session, c.Counters.Timestamp = 6, 0, 9000
			return diagnose.Question{Account: "anna", Text: w.press(t, "lost", nil), Checked: &validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonBlocked, Result: r}}
		}},
		"a HOTP code after a backup was put back": {[]string{"D38"}, func(w *world) diagnose.Question {
			w.held[7].Credential.Caution, w.held[7].Credential.Enabled = 2, false
			return diagnose.Question{Account: "anna", Text: made(t, "display", oath.SHA1, 6, 2001), Checked: &validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonCautious}}
		}},
		"an older one after a backup was put back": {[]string{"D20"}, func(w *world) diagnose.Question {
			w.held[0].Credential.Caution, w.held[0].Credential.Enabled = 2, false
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", func(o *yubiotp.Token) { o.UseCounter = 1 })}
		}},
		"another key of the same person": {[]string{"D18"}, func(w *world) diagnose.Question {
			return diagnose.Question{Serial: "1001", Text: w.press(t, "second", nil)}
		}},
		"a code behind a password": {[]string{"D09", "D08"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "summer-" + w.code(t, "app", 0)}
		}},
		"static text": {[]string{"D08"}, func(*world) diagnose.Question { return diagnose.Question{Text: "correct horse battery"} }},
		"an OTP for who has an app": {[]string{"D08", "D10"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "dora", Text: w.press(t, "elsewhere", nil)}
		}},
		"a factory's key": {[]string{"D11", "D10"}, func(w *world) diagnose.Question { return diagnose.Question{Text: w.press(t, "factoryother", nil)} }},
		"nothing is wrong": {nil, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", nil)}
		}},
		"not allowed": {[]string{"D34"}, func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", nil), Checked: &validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonNotAllowed}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			var got []string
			list := diagnosed(t, w, tc.ask(w))
			for _, f := range list {
				got = append(got, f.Code)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got %s", lines(list))
			}
		})
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	w := newWorld()
	d := w.doctor()
	if err := d.Keep(t.Context(), "7KM4Q2X9", diagnose.Attempt{Client: 3}); err != nil {
		t.Fatal(err)
	}
	if err := d.Keep(t.Context(), "7KM4Q2X9", diagnose.Attempt{}); !errors.Is(err, token.ErrDuplicate) {
		t.Error(err)
	}
	if a, err := d.Attempt(t.Context(), "7KM4Q2X9"); err != nil || a.Client != 3 || !a.At.Equal(now) {
		t.Errorf("%+v, %v", a, err)
	}
	d.Now = func() time.Time { return now.Add(diagnose.KeepTime + time.Second) }
	for _, code := range []string{"7KM4Q2X9", "22222222"} {
		if _, err := d.Attempt(t.Context(), code); !errors.Is(err, token.ErrNotFound) {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// FuzzDiagnose: no text makes the Doctor fail or repeat it, for one that was refused something is said, and what may be shown before a first factor is the same whether the store knows
// anybody or not.
func FuzzDiagnose(f *testing.F) {
	w := newWorld()
	for _, s := range []string{"", "123456", "ccccccccccc", w.press(f, "anna", nil), typedOn(f, "Russian", w.press(f, "anna", nil)), "à&é\"'(", "пароль" + w.code(f, "app", 0), "\xff\ufeff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list := diagnosed(t, w, diagnose.Question{Account: "anna", Text: text})
		for _, f := range list {
			if len(text) > 8 && strings.Contains(f.Evidence+f.Action, text) {
				t.Fatal("the text is said")
			}
		}
		if got, want := lines(diagnose.Public(list)), lines(diagnose.Public(diagnosed(t, &world{}, diagnose.Question{Text: text}))); got != want {
			t.Fatalf("public findings tell of more than the text: %s and %s", got, want)
		}
		if len(diagnosed(t, w, diagnose.Question{Account: "anna", Text: text, Checked: refused(validate.ReasonMalformed)})) == 0 {
			t.Fatal("it was refused, and nothing is said")
		}
	})
}

// BenchmarkDiagnose is a wrong code of a person with five HOTP and TOTP credentials: every hypothesis is tried.
func BenchmarkDiagnose(b *testing.B) {
	w := newWorld()
	for b.Loop() {
		diagnosed(b, w, diagnose.Question{Account: "anna", Text: "000000"})
	}
}
