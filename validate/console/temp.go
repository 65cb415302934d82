package console

import (
	"cmp"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// tempPage asks for a temporary code, or shows it.
type tempPage struct {
	page
	Person   token.Person
	Newest   int64 // the person's newest temporary code when the form was made
	Valids   []choice
	Valid    string
	Uses     int
	MostUses int
	Clients  []validate.Client
	Client   int64
	Note     string

	Code       shownCode
	ClientName string
	Groups     [][]letter // the code; empty: it is asked for
}

// choice is one of a few.
type choice struct{ Value, Text string }

// shownCode is what is said beside a code.
type shownCode struct {
	Expires time.Time
	Uses    int
}

// letter is a character of a code and how it is spelled.
type letter struct{ Char, English, German string }

// tonight is the choice that depends on the clock: until the last minute of the day.
const tonight = "tonight"

// valids are the choices, and what each means.
func valids() []choice {
	return []choice{{"1h", "one hour"}, {tonight, "until tonight"}, {"24h", "24 hours"}, {"72h", "three days"}}
}

// validity is the duration of a choice; 0 for none.
func validity(value string, now time.Time) time.Duration {
	if value == tonight {
		y, m, d := now.Date()
		return max(time.Date(y, m, d+1, 0, -1, 0, 0, now.Location()).Sub(now), time.Hour)
	}
	for _, c := range valids() {
		if c.Value == value {
			d, _ := time.ParseDuration(value) // one of the table
			return d
		}
	}
	return 0
}

// askTemp is the form.
func (v *visit) askTemp() error {
	form := v.r.PostForm                                      // of before a log-in
	uses, _ := strconv.Atoi(form.Get("uses"))                 // 0 for none
	client, _ := strconv.ParseInt(form.Get("client"), 10, 64) // 0 for none
	c := desk.TempCode{Uses: cmp.Or(uses, desk.DefaultTempUses), Client: client, Note: form.Get("note")}
	return v.tempPage(http.StatusOK, c, cmp.Or(form.Get("valid"), tonight), "")
}

func (v *visit) tempPage(status int, c desk.TempCode, valid, problem string) error {
	account := v.r.PathValue("account")
	p := tempPage{page: v.page("Temporary code"), Valids: valids(), Valid: valid, Uses: c.Uses, MostUses: desk.MaxTempUses, Client: c.Client, Note: c.Note}
	p.Narrow, p.Problem = true, problem
	var err error
	if p.Person, _, err = v.Desk.Person(v.ctx, account); err != nil {
		return err
	}
	if p.Newest, err = v.newestCode(account); err != nil {
		return err
	}
	clients, err := v.Desk.Clients(v.ctx)
	if err != nil {
		return err
	}
	for _, c := range clients {
		if c.Active {
			p.Clients = append(p.Clients, c)
		}
	}
	v.render(status, "temp", p)
	return nil
}

// newestCode is the number of a person's newest temporary code; 0: there is none.
func (v *visit) newestCode(account string) (int64, error) {
	codes, err := v.Desk.Codes(v.ctx, account)
	var newest int64
	for _, c := range codes {
		if c.Kind == desk.TempCodes {
			newest = max(newest, c.ID)
		}
	}
	return newest, err
}

// temp makes a code and shows it in the answer, this once. The form holds the number of the person's newest code: sent again, by a
// reload or a second click at the same instant, it finds a newer one and makes none.
func (v *visit) temp() error {
	form, account := v.r.PostForm, v.r.PathValue("account")
	uses, usesErr := strconv.Atoi(form.Get("uses"))
	client, clientErr := strconv.ParseInt(form.Get("client"), 10, 64)
	c := desk.TempCode{Valid: validity(form.Get("valid"), v.start.Local()), Uses: uses, Client: client, Note: strings.TrimSpace(form.Get("note"))}
	if usesErr != nil || clientErr != nil || uses < 1 || c.Valid == 0 {
		return v.tempPage(http.StatusBadRequest, c, form.Get("valid"), "Choose how long it is valid, and for how many log-ins.")
	}
	newest, err := strconv.ParseInt(form.Get("newest"), 10, 64)
	if err != nil {
		return errForm
	}
	c.After = &newest
	value, made, err := v.Desk.TempCode(v.ctx, account, c)
	var text *desk.TextError
	switch {
	case errors.As(err, &text):
		return v.tempPage(http.StatusBadRequest, c, form.Get("valid"), "The field “"+text.Field+"”: "+text.Cause+".")
	case errors.Is(err, token.ErrConflict):
		return v.tempPage(http.StatusConflict, c, form.Get("valid"),
			"A code was made with this form, or by somebody else, meanwhile. It is not shown again. Making another one ends it.")
	case err != nil:
		return err
	}
	defer value.Destroy()
	p := tempPage{page: v.page("Temporary code"), Code: shownCode{made.Expires, made.UsesLeft}, Groups: spell(string(value.Reveal()))}
	p.Narrow = true
	if p.Person, _, err = v.Desk.Person(v.ctx, account); err != nil {
		return err
	}
	if p.ClientName, err = v.clientName(made.Client); err != nil {
		return err
	}
	v.render(http.StatusOK, "temp", p)
	return nil
}

// spell cuts a normalised code into its groups and spells it.
func spell(code string) [][]letter {
	english, german := token.SpellSpoken(code, "en"), token.SpellSpoken(code, "de")
	groups, i := [][]letter{nil}, 0
	for _, r := range token.ShowSpoken(code) {
		if r == '-' {
			groups = append(groups, nil)
			continue
		}
		last := len(groups) - 1
		groups[last] = append(groups[last], letter{string(r), english[i], german[i]})
		i++
	}
	return groups
}

// endTemp ends the person's temporary codes.
func (v *visit) endTemp() error {
	account := v.r.PathValue("account")
	if _, err := v.Desk.RevokeCodes(v.ctx, account, desk.TempCodes); err != nil {
		return err
	}
	v.goTo(personPath(account) + "?said=ended")
	return nil
}
