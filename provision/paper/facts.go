package paper

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
)

// facts are what a receipt's template sees. All are strings and yes or no: there is no way from here to anything else.
type facts struct {
	Number                 string
	Copy, Pending, Shipped bool
	NoContact              bool // the site gives neither telephone nor mail nor a page for losses
	Slot1, Slot2           bool

	Name, Account, Who            string // Who is both
	Model, Serial, Stock, Label   string
	PublicID, Kind, Replaces      string
	Accounts                      string // with commas between
	Certificates                  string // with semicolons between
	Date, By, Place, Witness      string
	IDCheck, Note                 string
	Steps                         []stepFact
	CheckpointSeq, CheckpointHash string
	Site                          siteFact
	language, code                string
}

type stepFact struct{ ID, Time string }

type siteFact struct {
	Name, Phone, Mail, URL, Hours, LossURL, ActivationURL string
}

// labelFacts are what a label's template sees. Code is what its barcode says: the stock number, or the serial, or the label.
type labelFacts struct {
	Serial, Stock, Label, Model, PublicID, Batch, Code string
}

// words are the texts of one language that are no template's.
type words struct {
	date, clock string
	kinds       map[token.Kind]string
	checks      map[token.IDCheck]string
	slots       [2]string
	unprintable string // what a PDF says when it shows missing
	page        string
	day         string
	certificate string // subject, slot and day of one
}

func wordsOf(language string) words {
	if language == german {
		return words{
			date: "02.01.2006 15:04 MST", clock: "15:04:05", page: "Seite %d von %d",
			day: "02.01.2006", certificate: "%s (Slot %s, bis %s)",
			kinds: map[token.Kind]string{
				token.YubicoOTP: "Yubico OTP", token.HOTP: "Zählerbasiertes Einmalpasswort (HOTP)", token.TOTP: "Zeitbasiertes Einmalpasswort (TOTP)",
				token.ChallengeResponse: "Challenge-Response", token.Static: "Festes Passwort", token.PIV: "PIV",
			},
			checks: map[token.IDCheck]string{
				token.ByStaffCard: "Dienst- oder Studierendenausweis", token.ByNationalID: "Personalausweis", token.ByPassport: "Reisepass",
				token.ByAcquaintance: "persönlich bekannt", token.ByVideo: "Videogespräch",
			},
			slots:       [2]string{"Slot 1, kurz berühren", "Slot 2, lang berühren"},
			unprintable: "□ steht für ein Zeichen, das diese Schrift nicht drucken kann. Maßgeblich ist die Kennung.",
		}
	}
	return words{
		date: "2006-01-02 15:04 MST", clock: "15:04:05", page: "page %d of %d",
		day: "2006-01-02", certificate: "%s (slot %s, until %s)",
		kinds: map[token.Kind]string{
			token.YubicoOTP: "Yubico OTP", token.HOTP: "counter-based one-time password (HOTP)", token.TOTP: "time-based one-time password (TOTP)",
			token.ChallengeResponse: "challenge-response", token.Static: "fixed password", token.PIV: "PIV",
		},
		checks: map[token.IDCheck]string{
			token.ByStaffCard: "staff or student card", token.ByNationalID: "national identity card", token.ByPassport: "passport",
			token.ByAcquaintance: "known personally", token.ByVideo: "video call",
		},
		slots:       [2]string{"slot 1, short touch", "slot 2, long touch"},
		unprintable: "□ stands for a character that this font cannot print. The account is what counts.",
	}
}

// facts of a receipt for this site.
func (s site) facts(r Receipt) facts {
	language := r.Language
	if language == "" {
		language = s.text["language"]
	}
	w := wordsOf(language)
	f := facts{
		Number: foreign(r.Number), Copy: r.Copy, Pending: r.Pending, Shipped: r.Way == Shipped,
		Slot1: r.Token.Slot == 1, Slot2: r.Token.Slot == 2,
		Name: foreign(r.Name), Account: foreign(r.Account), Model: foreign(model(r.Token)), Serial: r.Token.Serial.String(),
		Stock: foreign(r.Token.StockNumber), Label: foreign(r.Token.Label), PublicID: foreign(r.Token.PublicID), Replaces: foreign(r.Replaces),
		By: foreign(r.By), Place: foreign(r.Place), Witness: foreign(r.Witness), Note: foreign(r.Note), IDCheck: w.checks[r.IDCheck],
		language: language, code: receiptCode(r),
		Site: siteFact{
			Name: s.say("name", language), Phone: s.say("phone", language), Mail: s.say("mail", language), URL: s.say("url", language),
			Hours: s.say("hours", language), LossURL: s.say("loss-url", language), ActivationURL: s.say("activation-url", language),
		},
	}
	var accounts []string
	for _, a := range r.Accounts[:min(len(r.Accounts), maxAccounts)] {
		accounts = append(accounts, foreign(a))
	}
	f.Accounts, f.Certificates = strings.Join(accounts, ", "), w.named(r.Certificates)
	f.Who = f.Account
	if f.Name != "" {
		f.Who = strings.TrimSuffix(f.Name+" ("+unguard(f.Account)+")", " ()")
	}
	f.NoContact = f.Site.Phone == "" && f.Site.Mail == "" && f.Site.LossURL == ""
	if kind := w.kinds[r.Token.Kind]; kind != "" {
		f.Kind = kind
		if f.Slot1 || f.Slot2 {
			f.Kind += ", " + w.slots[r.Token.Slot-1]
		}
	}
	if !r.Issued.IsZero() {
		f.Date = r.Issued.Format(w.date)
	}
	for _, step := range r.Steps[:min(len(r.Steps), maxSteps)] {
		at := ""
		if !step.At.IsZero() {
			at = step.At.Format(w.clock)
		}
		f.Steps = append(f.Steps, stepFact{foreign(step.ID), at})
	}
	if r.Checkpoint.Seq > 0 {
		f.CheckpointSeq, f.CheckpointHash = strconv.FormatInt(r.Checkpoint.Seq, 10), grouped(clean(r.Checkpoint.Hash))
	}
	return f
}

// maxSteps is how many steps are printed, maxAccounts how many accounts, and maxCertificates how many certificates.
const (
	maxSteps        = 20
	maxAccounts     = 8
	maxCertificates = 4
)

// named are certificates in words.
func (w words) named(list []Certificate) string {
	var out []string
	for _, c := range list[:min(len(list), maxCertificates)] {
		out = append(out, fmt.Sprintf(w.certificate, foreign(c.Subject), foreign(c.Slot), c.Until.Format(w.day)))
	}
	return strings.Join(out, "; ")
}

func model(s Subject) string {
	if s.Firmware == "" || strings.Contains(s.Model, s.Firmware) {
		return s.Model
	}
	return strings.TrimSpace(fmt.Sprintf("%s, firmware %s", s.Model, s.Firmware))
}

// grouped sets a blank behind every eighth character: a hash that people compare by eye.
func grouped(s string) string {
	var b strings.Builder
	for i, r := range []rune(s) {
		if i > 0 && i%8 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (l Label) facts() labelFacts {
	f := labelFacts{
		Serial: l.Serial.String(), Stock: foreign(l.StockNumber), Label: foreign(l.Label), Model: foreign(model(l.Subject)),
		PublicID: foreign(l.PublicID), Batch: foreign(l.Batch),
	}
	for _, code := range []string{l.StockNumber, l.Serial.String(), l.Subject.Label} {
		if f.Code == "" {
			f.Code = foreign(code)
		}
	}
	return f
}

// at is the time that a file of these facts bears.
func (r Receipt) at() time.Time {
	if r.Issued.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return r.Issued.UTC()
}
