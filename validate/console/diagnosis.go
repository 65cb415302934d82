package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// diagnosisPage asks for a one-time password or code that does not work, and says why. It never shows what was typed.
type diagnosisPage struct {
	page
	Who      string // account, serial or label of somebody who is known
	Person   *token.Person
	Token    *token.Token
	Asked    bool
	Findings []diagnose.Finding
}

// diagnosisPath leads to the form for somebody; "" for a token that has neither name nor holder.
func diagnosisPath(who string) string {
	if who == "" {
		return ""
	}
	return "/console/diagnosis?" + url.Values{"for": {who}}.Encode()
}

// whose is how the diagnosis calls a token: by its serial or label, else by its holder.
func whose(t token.Token) string {
	if t.Serial != 0 {
		return t.Serial.String()
	}
	if t.Label == "" && t.Holder != nil {
		return t.Holder.Account
	}
	return t.Label
}

// askDiagnosis is the form.
func (v *visit) askDiagnosis() error {
	p := v.diagnosisPage()
	if p.Diagnoses() {
		_, err := v.name(&p, cmp.Or(v.r.PostForm.Get("who"), v.r.URL.Query().Get("for")))
		if err != nil && !errors.Is(err, token.ErrNotFound) {
			return err
		}
	}
	v.render(http.StatusOK, "diagnosis", p)
	return nil
}

func (v *visit) diagnosisPage() diagnosisPage {
	p := diagnosisPage{page: v.page("Why is it refused?")}
	p.Narrow = true
	return p
}

// diagnose says why. It spends nothing. What it tells of the codes of a person or token is for operators who may work with them, and
// of not many texts that may be guesses.
func (v *visit) diagnose() error {
	form, p := v.r.PostForm, v.diagnosisPage()
	q, err := v.name(&p, form.Get("who"))
	if errors.Is(err, token.ErrNotFound) {
		p.Problem = "No person has this account, and no token this serial or label. Leave the field empty to look at the text alone."
		v.render(http.StatusNotFound, "diagnosis", p)
		return nil
	}
	if err != nil {
		return err
	}
	q.Text = form.Get("text")
	if p.Who != "" && q.Text != "" && len(validate.Readings(q.Text)) == 0 && v.guesses.TooMany(v.operator.ID, v.start) {
		p.Problem = "Too many codes in an hour. One-time passwords of keys, and texts without a person, are still looked at."
		v.render(http.StatusTooManyRequests, "diagnosis", p)
		return nil
	}
	if p.Findings, err = v.Doctor.Diagnose(v.ctx, q); err != nil {
		return err
	}
	p.Asked = true
	v.render(http.StatusOK, "diagnosis", p)
	return nil
}

// name finds who is meant by an account, or else by a token's serial or label; token.ErrNotFound. Nobody is meant by "".
func (v *visit) name(p *diagnosisPage, who string) (q diagnose.Question, err error) {
	if who = strings.TrimSpace(who); who == "" {
		return q, nil
	}
	if !p.Diagnoses() {
		return q, errNoRight
	}
	person, _, err := v.Desk.Person(v.ctx, who)
	if err == nil {
		p.Who, p.Person = who, &person
		return diagnose.Question{Account: who}, nil
	}
	if !errors.Is(err, token.ErrNotFound) {
		return q, err
	}
	t, _, err := v.Desk.Show(v.ctx, who)
	var several *desk.AmbiguousError
	switch {
	case errors.As(err, &several):
		return q, token.ErrNotFound
	case err != nil:
		return q, err
	case t.Serial == 0 && t.Label == "":
		return q, token.ErrNotFound
	}
	p.Who, p.Token, p.Person = whose(t), &t, t.Holder
	return diagnose.Question{Serial: p.Who}, nil
}
