package console

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/caller"
)

// maxForm is the most that a form sends, in bytes.
const maxForm = 16 << 10

// visit is one request on its way.
type visit struct {
	*Handler
	w        http.ResponseWriter
	r        *http.Request
	ctx      context.Context // with the actor, once an operator is known
	start    time.Time
	source   string
	operator desk.Operator // of a session
	cookie   string
	csrf     string
	status   int
	failed   error // that the visitor is not told
}

// refusal is what a visitor is told instead of a page.
type refusal struct {
	status      int
	title, text string
}

func (e *refusal) Error() string { return e.title }

// The refusals.
var (
	errLoggedOut = &refusal{http.StatusUnauthorized, "Logged out", "Please log in."}
	errNoRight   = &refusal{http.StatusForbidden, "Not allowed", "Your roles do not include this. Whoever manages operators can change that."}
	errForged    = &refusal{http.StatusForbidden, "Not accepted", "This form was not sent from a page of yours. Go back to the search and begin again."}
	errForm      = &refusal{http.StatusBadRequest, "Not understood", "The form is not complete or too long."}
	errNothing   = &refusal{http.StatusNotFound, "Not here", "There is nothing at this address, or not any more."}
	errTooOften  = &refusal{http.StatusTooManyRequests, "Too many tries", "Please wait a minute and try again."}
	errFailed    = &refusal{http.StatusInternalServerError, "That did not work", "The server could not do this now; nothing is lost. Try again, and tell whoever runs it if it goes on."}
	errAddress   = &refusal{http.StatusBadRequest, "Not in an address", "A one-time password or code does not belong into an address. Type it into the search field."}
)

// serve makes the handler of one route: rights, the work, the log.
func (h *Handler) serve(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v := &visit{Handler: h, w: w, r: r, ctx: r.Context(), start: h.Now(), source: caller.Source(r.RemoteAddr)}
		err := v.enter(rt)
		if err == nil {
			err = rt.run(v)
		}
		if err != nil {
			v.refuse(rt, err)
		}
		v.observe(rt)
	}
}

// enter lets a visitor in, or says why not.
func (v *visit) enter(rt route) error {
	if v.Limit != nil && v.Limit(v.source) {
		return errTooOften
	}
	post := v.r.Method != http.MethodGet && v.r.Method != http.MethodHead
	if post && rt.access != public && v.foreign.Check(v.r) != nil {
		return errForged
	}
	if post {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, maxForm)
		if v.r.ParseForm() != nil {
			return errForm
		}
	}
	if rt.access != session {
		return nil
	}
	if err := v.recognise(); err != nil {
		return err
	}
	if post && subtle.ConstantTimeCompare([]byte(v.csrf), []byte(v.r.PostForm.Get("csrf"))) != 1 {
		return errForged
	}
	if rt.right != "" && !v.operator.May(rt.right) {
		return errNoRight
	}
	v.ctx = token.WithActor(v.ctx, v.operator.Actor())
	return nil
}

// recognise finds the operator by the cookie.
func (v *visit) recognise() error {
	c, err := v.r.Cookie(cookieName(v.r))
	if err != nil {
		return errLoggedOut
	}
	v.operator, v.csrf, err = v.Desk.Session(v.ctx, c.Value)
	if errors.Is(err, token.ErrNotFound) || err == nil && v.csrf == "" {
		v.operator = desk.Operator{}
		return errLoggedOut
	}
	v.cookie = c.Value
	return err
}

// refuse tells the visitor what went wrong, as far as that helps.
func (v *visit) refuse(rt route, err error) {
	var r *refusal
	var wrong *token.TransitionError
	var text *desk.TextError
	switch {
	case errors.As(err, &r):
	case errors.Is(err, token.ErrNotFound):
		r = errNothing
	case errors.As(err, &wrong):
		r = &refusal{http.StatusConflict, "Not possible now", "The token is " + string(wrong.From) + ": somebody may have been faster."}
	case errors.As(err, &text):
		r = &refusal{http.StatusBadRequest, "Not understood", "The field “" + text.Field + "” " + text.Cause + "."}
	default:
		r, v.failed = errFailed, err
	}
	if rt.access == public {
		v.refuseLink(r)
		return
	}
	if r == errLoggedOut {
		v.askLogIn(rt)
		return
	}
	v.render(r.status, "error", struct {
		page
		Text string
	}{v.page(r.title), r.text})
}

// page is what every page of the console needs.
func (v *visit) page(title string) page {
	return page{Title: title, Operator: v.operator, CSRF: v.csrf, Said: said[v.r.URL.Query().Get("said")], rights: v.rights}
}

// render sends a page.
func (v *visit) render(status int, name string, data any) {
	v.send(status, v.pages.console, name+".html", data)
}

// send executes a template and writes what comes of it, which may hold a code: it is cleared afterwards.
func (v *visit) send(status int, t templates, name string, data any) {
	var out bytes.Buffer
	defer func() { clear(out.Bytes()) }()
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		v.failed, v.status = err, http.StatusInternalServerError
		http.Error(v.w, "the page could not be made", v.status)
		return
	}
	v.status = status
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.Header().Set("Content-Length", strconv.Itoa(out.Len()))
	v.w.WriteHeader(status)
	_, _ = v.w.Write(out.Bytes()) // a visitor who went away needs no page
}

// goTo leads the browser to another page, by GET.
func (v *visit) goTo(path string) {
	v.status = http.StatusSeeOther
	http.Redirect(v.w, v.r, path, v.status)
}

// personPath is the address of a person.
func personPath(account string) string { return "/console/persons/" + url.PathEscape(account) }

// tokenPath is the address of a token.
func tokenPath(id token.ID) string { return "/console/tokens/" + strconv.FormatInt(int64(id), 10) }

// number is a number in the path; 0 for other text.
func (v *visit) number(name string) int64 {
	n, err := strconv.ParseInt(v.r.PathValue(name), 10, 64)
	if err != nil || n < 1 {
		return 0
	}
	return n
}

// query means the token in the path.
func (v *visit) query() string { return desk.ByID(token.ID(v.number("id"))) }

// observe tells of the visit, without what was typed and without its address, which may hold a link.
func (v *visit) observe(rt route) {
	if v.Observer == nil {
		return
	}
	a := validate.Answered{
		Door: validate.DoorConsole, ID: v.w.Header().Get(validate.RequestIDHeader), Start: v.start, Took: v.Now().Sub(v.start), Source: v.source,
		Route: rt.pattern, Status: v.status, Operator: v.operator.Name, Limited: v.status == http.StatusTooManyRequests,
		Token: token.ID(v.number("id")), Err: v.failed,
	}
	if rt.access == public {
		a.Door = validate.DoorEnroll
	}
	v.Observer.Answered(v.ctx, a)
}
