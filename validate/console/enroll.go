package console

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/qr"
	"github.com/tokendesk/tokendesk/provision/desk"
)

// languages are those of the public pages; the first is for who asks for none of them.
var languages = []string{"en", "de"}

// language is the one that the browser likes best.
func language(header string) string {
	best, most := languages[0], 0.0
	for _, part := range strings.Split(header, ",") {
		tag, rest, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight := 1.0
		if text, ok := strings.CutPrefix(strings.TrimSpace(rest), "q="); ok {
			weight, _ = strconv.ParseFloat(text, 64) // 0 for what is no number
		}
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		for _, l := range languages {
			if l == tag && weight > most {
				best, most = l, weight
			}
		}
	}
	return best
}

// linkPage is what the public pages show.
type linkPage struct {
	Title   string // by which the words of the language name it
	Action  string // address of the link
	State   desk.LinkState
	Problem string // the word for what was wrong; "": nothing
	Tries   int    // at the PIN, altogether
	Secret  *shownSecret
	PIN     string
	Name    string // what was typed for the device
}

// shownSecret is the secret in every form that an app takes. It is a secret itself, made for the one answer it is part of; copies
// that the runtime makes remain in memory for a while.
type shownSecret struct {
	QR      template.HTML // an SVG
	URI     template.URL  // opens an app on the same phone
	Text    string        // base32 in groups of four
	Issuer  string
	Account string
	Kind    string
	Hash    string
	Digits  int
	Period  int // seconds; 0: HOTP
	Until   time.Time
}

// openLink answers a GET: whatever opens a link, a person or a scanner of mails, nothing is consumed.
func (v *visit) openLink() error {
	state, err := v.Desk.OpenLink(v.ctx, v.r.PathValue("value"))
	if err != nil {
		return err
	}
	v.linkPage(linkPage{State: state})
	return nil
}

// showLink answers the PIN: with the secret, when it is right.
func (v *visit) showLink() error { return v.secretPage(linkPage{}) }

// secretPage shows the secret to who has the PIN. p says what went before.
func (v *visit) secretPage(p linkPage) error {
	p.PIN = v.r.PostForm.Get("pin")
	state, rec, err := v.Desk.ShowLink(v.ctx, v.r.PathValue("value"), p.PIN)
	if err != nil {
		return err
	}
	defer rec.Destroy()
	p.State = state
	switch state {
	case desk.LinkShown:
		if p.Secret, err = showSecret(rec); err != nil {
			return err
		}
	case desk.LinkWrongPIN:
		p.Problem = "wrong-pin"
	}
	v.linkPage(p)
	return nil
}

// unprovenWords are the words for what was wrong with the first code.
var unprovenWords = map[desk.Proof]string{desk.NoCode: "no-code", desk.NotNewer: "used-code"}

// finishLink answers the first code of the app.
func (v *visit) finishLink() error {
	form := v.r.PostForm
	name := strings.TrimSpace(form.Get("name"))
	state, proof, err := v.Desk.FinishLink(v.ctx, v.r.PathValue("value"), form.Get("pin"), form.Get("code"), name)
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return v.secretPage(linkPage{Problem: "name", Name: name})
	case err != nil:
		return err
	}
	switch state {
	case desk.LinkShown:
		word := unprovenWords[proof]
		if word == "" {
			word = "wrong-code"
		}
		return v.secretPage(linkPage{Problem: word, Name: name})
	case desk.LinkOpen:
		v.linkPage(linkPage{State: state, Problem: "too-old"})
	case desk.LinkWrongPIN:
		v.linkPage(linkPage{State: state, Problem: "wrong-pin"})
	case desk.LinkDone:
		p := linkPage{State: state, Name: name}
		if proof == desk.Proven {
			p.Title = "finished"
		}
		v.linkPage(p)
	default:
		v.linkPage(linkPage{State: state})
	}
	return nil
}

// linkPages are the templates and the status for each state.
var linkPages = map[desk.LinkState]struct {
	name   string
	status int
}{
	desk.LinkOpen:      {"start", http.StatusOK},
	desk.LinkShown:     {"start", http.StatusOK}, // with a secret: "secret"
	desk.LinkWrongPIN:  {"start", http.StatusForbidden},
	desk.LinkLocked:    {"locked", http.StatusGone},
	desk.LinkExpired:   {"expired", http.StatusGone},
	desk.LinkCancelled: {"cancelled", http.StatusGone},
	desk.LinkDone:      {"done", http.StatusOK},
	desk.LinkUnknown:   {"unknown", http.StatusNotFound},
}

// linkPage renders a page in the language of the visitor.
func (v *visit) linkPage(p linkPage) {
	at, ok := linkPages[p.State]
	if !ok {
		at = linkPages[desk.LinkUnknown]
	}
	name := at.name
	switch {
	case p.Secret != nil:
		name = "secret"
	case p.Title != "":
		name = p.Title
	}
	p.Title, p.Tries = name, desk.PINTries
	p.Action = "/enroll/" + v.r.PathValue("value")
	v.sendLink(at.status, name, p)
}

func (v *visit) sendLink(status int, name string, p linkPage) {
	v.w.Header().Set("Referrer-Policy", "no-referrer")
	v.w.Header().Set("Vary", "Accept-Language")
	v.send(status, v.pages.enroll[language(v.r.Header.Get("Accept-Language"))], "page-"+name, p)
}

// noLink answers every other address.
func (v *visit) noLink() error { return errNothing }

// refuseLink is refuse for the public pages: they have a page for a link that does not exist, one for haste and one for the rest.
func (v *visit) refuseLink(r *refusal) {
	name := "failed"
	switch r {
	case errNothing:
		name = "unknown"
	case errTooOften:
		name = "hasty"
	}
	v.sendLink(r.status, name, linkPage{Title: name})
}

// showSecret prepares the record of a pending app.
func showSecret(rec keyfile.Record) (*shownSecret, error) {
	uri, err := otpauth.Format(rec)
	if err != nil {
		return nil, err
	}
	defer uri.Destroy()
	code, err := qr.Encode(uri)
	if err != nil {
		return nil, err
	}
	defer code.Destroy()
	var svg bytes.Buffer
	defer func() { clear(svg.Bytes()) }()
	if err := code.SVG(&svg); err != nil {
		return nil, err
	}
	plain := keyfile.AppendBase32(nil, rec.Key.Reveal())
	defer clear(plain)
	return &shownSecret{
		QR: template.HTML(svg.String()), URI: template.URL(uri.Reveal()), Text: groups(plain),
		Issuer: rec.Issuer, Account: rec.Owner, Kind: strings.ToUpper(string(rec.Kind)), Hash: strings.ToUpper(rec.Hash), Digits: rec.Digits,
		Period: int(rec.Period / time.Second), Until: rec.Created.Add(desk.SecretTime),
	}, nil
}

// groups writes text in groups of four.
func groups(text []byte) string {
	var out strings.Builder
	for i, b := range text {
		if i > 0 && i%4 == 0 {
			out.WriteByte(' ')
		}
		out.WriteByte(b)
	}
	return out.String()
}
