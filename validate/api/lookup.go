package api

import (
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// Bounds of what is listed.
const (
	mostHits   = 50
	mostEvents = 200
	minOTP     = 32 // characters of the shortest one-time password of a YubiKey
)

type searchRequest struct {
	Query string `json:"q"`
}

type searchAnswer struct {
	Hits    []hitView    `json:"hits"`
	Attempt *attemptView `json:"attempt,omitempty"` // the query is a support code
}

type hitView struct {
	Why    desk.Why    `json:"why"`
	Person *personView `json:"person,omitempty"`
	Token  *tokenView  `json:"token,omitempty"`
}

// searchURL searches for what may stand in a URL, and so in the logs of proxies.
func (c *call) searchURL() (any, error) {
	q, err := c.query("q")
	if err != nil {
		return nil, err
	}
	text := q.Get("q")
	if looksTyped(text) {
		return nil, errUsesOTP
	}
	return c.search(text)
}

// looksTyped reports whether the text may be a one-time password, on whatever keyboard it was typed: long, in one piece, and no mail
// address.
func looksTyped(text string) bool {
	text = strings.Trim(text, validate.Space)
	return len(validate.Readings(text)) > 0 && len(text) >= minOTP || len([]rune(text)) >= minOTP && !strings.ContainsAny(text, " @")
}

func (c *call) searchBody() (any, error) {
	q, err := read[searchRequest](c)
	if err != nil {
		return nil, err
	}
	return c.search(q.Query)
}

func (c *call) search(text string) (any, error) {
	hits, err := c.Desk.Search(c.ctx, text, mostHits)
	if err != nil {
		return nil, err
	}
	a := searchAnswer{Hits: each(hits, viewHit)}
	if !c.operator.May(desk.RightDiagnose) {
		return a, nil
	}
	a.Attempt, err = c.attempt(text)
	if errors.Is(err, token.ErrNotFound) {
		err = nil
	}
	return a, err
}

func viewHit(h desk.Hit) hitView {
	v := hitView{Why: h.Why}
	if h.Person != nil {
		p := viewPerson(*h.Person)
		v.Person = &p
	}
	if h.Token != nil {
		t := viewToken(*h.Token)
		v.Token = &t
	}
	return v
}

// attempt is what was kept under a support code; token.ErrNotFound.
func (c *call) attempt(text string) (*attemptView, error) {
	code, ok := token.NormaliseSpoken(text)
	if !ok || len(code) != token.SupportLen {
		return nil, token.ErrNotFound
	}
	a, err := c.Doctor.Attempt(c.ctx, code)
	if err != nil {
		return nil, err
	}
	v := viewAttempt(a)
	return &v, nil
}

type diagnoseRequest struct {
	Support string `json:"support_code"` // alone; or
	Text    string `json:"text"`         // as typed,
	Person  string `json:"person"`       // for nobody in particular, an account
	Serial  string `json:"serial"`       // or a serial or label
	Status  string `json:"status"`       // what a relying server was answered: "BAD_SIGNATURE"; without Text, nothing was typed
}

type diagnoseAnswer struct {
	Findings []diagnose.Finding `json:"findings"`
	Attempt  *attemptView       `json:"attempt,omitempty"`
}

// diagnose tells staff why, of a text or of what was kept under a support code. It spends nothing.
func (c *call) diagnose() (any, error) {
	q, err := read[diagnoseRequest](c)
	if err != nil {
		return nil, err
	}
	if q.Person != "" && q.Serial != "" {
		return nil, errPersonSerial
	}
	if q.Support != "" {
		if q.Text+q.Person+q.Serial+q.Status != "" {
			return nil, errBody
		}
		a, err := c.attempt(q.Support)
		if err != nil {
			return nil, err
		}
		return diagnoseAnswer{a.Findings, a}, nil
	}
	if err := c.guess(q); err != nil {
		return nil, err
	}
	list, err := c.Doctor.Diagnose(c.ctx, diagnose.Question{Account: q.Person, Serial: q.Serial, Text: q.Text, Status: q.Status})
	return diagnoseAnswer{Findings: findings(list)}, err
}

// guess bounds what the diagnosis tells about the codes of a person or token: to operators who may work with such codes, and of not
// many. A Yubico OTP is never guessed. Who only reads has the support codes, and what a text shows by itself.
func (c *call) guess(q diagnoseRequest) error {
	switch {
	case q.Person+q.Serial == "":
	case !c.operator.May(desk.RightResync):
		return errNoRight
	case q.Text == "" || len(validate.Readings(q.Text)) > 0:
	case c.guesses.TooMany(c.operator.ID, c.start):
		return errGuesses
	}
	return nil
}

type personAnswer struct {
	personView
	Tokens   []tokenView   `json:"tokens"`
	Codes    []codeView    `json:"codes"`    // that may be used
	Browsers []browserView `json:"browsers"` // that are trusted
}

func (c *call) person() (any, error) {
	account := c.r.PathValue("account")
	p, tokens, err := c.Desk.Person(c.ctx, account)
	if err != nil {
		return nil, err
	}
	a := personAnswer{personView: viewPerson(p), Tokens: each(tokens, viewToken), Codes: []codeView{}}
	codes, err := c.Desk.Codes(c.ctx, account)
	if err != nil {
		return nil, err
	}
	for _, k := range codes {
		if k.Live(c.start) {
			a.Codes = append(a.Codes, viewCode(k))
		}
	}
	a.Browsers, err = c.liveBrowsers(account)
	return a, err
}

type tokenAnswer struct {
	tokenView
	Credentials []credentialView `json:"credentials"`
}

func (c *call) token() (any, error) {
	t, list, err := c.Desk.Show(c.ctx, c.id())
	if err != nil {
		return nil, err
	}
	a := tokenAnswer{viewToken(t), each(list, viewCredential)}
	a.Remains, err = c.Desk.Remains(c.ctx, t)
	return a, err
}

type eventsAnswer struct {
	Events []desk.Happened `json:"events"` // newest first
}

func (c *call) tokenEvents() (any, error) {
	list, err := c.Desk.History(c.ctx, c.id(), mostEvents)
	return eventsAnswer{append([]desk.Happened{}, list...)}, err
}

// id is the query for the token of the path; one that finds nothing if that is no number.
func (c *call) id() string {
	n, err := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	if err != nil || n <= 0 {
		return ""
	}
	return desk.ByID(token.ID(n))
}

// query reads the parameters of the URL: of these names, each at most once.
func (c *call) query(names ...string) (url.Values, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, errQuery
	}
	known := 0
	for _, name := range names {
		if len(values[name]) > 1 {
			return nil, errQuery
		}
		known += len(values[name])
	}
	if known != len(values) {
		return nil, errQuery
	}
	return values, nil
}
