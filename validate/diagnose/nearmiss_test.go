package diagnose_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// refused is what a check said that took nothing.
func refused(why validate.Reason) *validate.Checked {
	return &validate.Checked{Outcome: validate.BadOTP, Reason: why}
}

// of is the first credential of the token with that label or serial.
func (w *world) of(name string) *diagnose.Held {
	i := slices.IndexFunc(w.held, func(h diagnose.Held) bool { return h.Token.Label == name || h.Token.Serial.String() == name })
	return &w.held[i]
}

// nearMiss looks like another cause, or like none.
type nearMiss struct {
	want             []string // codes in order; the first has the evidence and the action
	evidence, action string
	ask              func(w *world) diagnose.Question
}

func nearCodes(t *testing.T) map[string]nearMiss {
	return map[string]nearMiss{
		"the delay that this wrong code began": {[]string{"D23"}, "4 min 30 s behind", "tokendesk token resync APP", func(w *world) diagnose.Question {
			w.failures["anna"], w.failedAt = 1, now
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9), Checked: refused(validate.ReasonWrong)}
		}},
		"the lock that this wrong code began": {[]string{"D23", "D30"}, "4 min 30 s behind", "tokendesk token resync APP", func(w *world) diagnose.Question {
			w.failures["anna"], w.failedAt = 10, now
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9), Checked: refused(validate.ReasonWrong)}
		}},
		"the delay of the one before": {[]string{"D30", "D23"}, "1 wrong codes in a row", "tokendesk code temp anna", func(w *world) diagnose.Question {
			w.failures["anna"], w.failedAt = 1, now
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9), Checked: refused(validate.ReasonThrottled)}
		}},
		"locked, and over since": {[]string{"D30"}, "locked after too many", "tokendesk code temp anna", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0), Checked: refused(validate.ReasonLocked)}
		}},
		"a lost app, whose code the check has spent": {[]string{"D29"}, "APP is lost", "tokendesk token restore APP", func(w *world) diagnose.Question {
			h := w.of("APP")
			h.Token.State, h.Credential.Counters.Moving = token.Lost, oath.Step(now, 30*time.Second)
			c := refused(validate.ReasonBlocked)
			c.Credential = h.Credential.ID
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0), Checked: c}
		}},
		"a password behind a code": {[]string{"D09", "D08"}, "a code of APP", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0) + "summer", Checked: refused(validate.ReasonMalformed)}
		}},
		"a PIN in front of a code": {[]string{"D09", "D08"}, "a code of APP", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "4711" + w.code(t, "app", 0), Checked: refused(validate.ReasonMalformed)}
		}},
		"a wrong code with a blank, as people type": {[]string{"D28"}, "credentials tried", "tokendesk token resync QUERY", func(*world) diagnose.Question {
			return diagnose.Question{Account: "dora", Text: "000 000", Checked: refused(validate.ReasonWrong)}
		}},
		"a period that no quarter of an hour is a multiple of": {[]string{"D24"}, "5 h 30 min behind", "", func(w *world) diagnose.Question {
			w.of("APP").Credential.Settings.Period = 40 * time.Second
			return diagnose.Question{Account: "anna", Text: made(t, "app", oath.SHA1, 6, oath.Step(now.Add(-330*time.Minute), 40*time.Second))}
		}},
		"a wrong temporary code": {[]string{"D28"}, "temporary or recovery", "tokendesk code temp anna", func(*world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "7KM4Q-2X9AB", Checked: refused(validate.ReasonWrong)}
		}},
		"refused for a reason without a row": {[]string{"D28"}, "unsettled write", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", 0), Checked: refused(validate.ReasonUnsettled)}
		}},
		"a label that a shell would run": {[]string{"D23"}, "4 min 30 s behind", `tokendesk token resync 'a'\''; reboot ACCOUNT'`, func(w *world) diagnose.Question {
			w.of("APP").Token.Label = "a'; reboot ACCOUNT"
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9)}
		}},
		"a label that looks like a flag": {[]string{"D23"}, "4 min 30 s behind", "tokendesk token resync QUERY", func(w *world) diagnose.Question {
			w.of("APP").Token.Label = "--help"
			return diagnose.Question{Account: "anna", Text: w.code(t, "app", -9)}
		}},
	}
}

func nearOTPs(t *testing.T) map[string]nearMiss {
	return map[string]nearMiss{
		"revoked, and the secrets are deleted": {[]string{"D29"}, "serial 1004 was revoked", "tokendesk token show 1004", func(w *world) diagnose.Question {
			h := w.of("1004")
			h.Token.State, h.Token.Holder = token.Revoked, person("dora")
			delete(w.secrets, h.Credential.ID)
			return diagnose.Question{Account: "dora", Text: w.press(t, "lost", nil), Checked: refused(validate.ReasonUnknown)}
		}},
		"revoked: it cannot be restored": {[]string{"D29"}, "serial 1004 was revoked", "tokendesk token show 1004", func(w *world) diagnose.Question {
			h := w.of("1004")
			h.Token.State, h.Token.Holder = token.Revoked, person("dora")
			return diagnose.Question{Account: "dora", Text: w.press(t, "lost", nil)}
		}},
		"the retired key of somebody else": {[]string{"D29", "D13"}, "serial 1003 was revoked", "tokendesk token show 1003", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "berta", Text: w.press(t, "retired", nil)}
		}},
		"a key that nobody can write by a serial": {[]string{"D16"}, "does not decrypt", "tokendesk token show 'Box 7'", func(w *world) diagnose.Question {
			h := w.of("1001")
			h.Token.Serial, h.Token.Label = 0, "Box 7"
			return diagnose.Question{Account: "anna", Text: w.press(t, "anna", nil)[:12] + strings.Repeat("b", 32)}
		}},
		"two touches with characters missing": {[]string{"D03"}, "85 characters", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: strings.Repeat(w.press(t, "anna", nil), 2)[:85], Checked: refused(validate.ReasonMalformed)}
		}},
		"a ModHex word in front": {[]string{"D03"}, "51 characters", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "believe" + w.press(t, "anna", nil), Checked: refused(validate.ReasonMalformed)}
		}},
		"a ModHex word in front, which might be a longer public ID": {[]string{"D03"}, "the last 44", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna", Text: "hi" + w.press(t, "anna", nil), Checked: refused(validate.ReasonUnknown)}
		}},
		"an OTP behind the user name": {[]string{"D09", "D28"}, "the user name", "", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "anna" + w.press(t, "anna", nil), Text: "123456"}
		}},
		"an account that nobody has": {[]string{"D28"}, "none has that name", "tokendesk person list", func(w *world) diagnose.Question {
			return diagnose.Question{Account: "ana", Text: w.press(t, "anna", nil), Checked: refused(validate.ReasonNobody)}
		}},
	}
}

func TestNearMisses(t *testing.T) {
	t.Parallel()
	all := nearCodes(t)
	maps.Copy(all, nearOTPs(t))
	for name, tc := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			q := tc.ask(w)
			list := diagnosed(t, w, q)
			var got []string
			for _, f := range list {
				got = append(got, f.Code)
			}
			if !slices.Equal(got, tc.want) || !strings.Contains(list[0].Evidence, tc.evidence) || list[0].Action != tc.action {
				t.Errorf("got %s\n%+v", lines(list), list)
			}
			alone := diagnosed(t, &world{}, diagnose.Question{Text: q.Text})
			if got, want := lines(diagnose.Public(list)), lines(diagnose.Public(alone)); got != want {
				t.Errorf("public findings tell of more than the text: %s and %s", got, want)
			}
		})
	}
}
