package wsapi

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/ykslot/yubiotp"
)

// status is a word of the protocol. Clients fail on words outside the list. Source: reference validation-protocol.md §5.
type status string

const (
	ok                  = status(validate.Accepted)
	badOTP              = status(validate.BadOTP)
	badSignature        = status("BAD_SIGNATURE")
	missingParameter    = status("MISSING_PARAMETER")
	noSuchClient        = status("NO_SUCH_CLIENT")
	operationNotAllowed = status("OPERATION_NOT_ALLOWED")
	backendError        = status("BACKEND_ERROR")
)

// answer is what goes back.
type answer struct {
	status   status
	at       time.Time
	key      secret.Bytes   // empty for an unknown client
	otp      string         // "" with nonce "": not echoed
	nonce    string         //
	sl       bool           // sl=0: nobody was asked, because all servers share one store
	counters *yubiotp.Token // nil: not asked for
}

// text is the body: name=value CRLF, h first, an empty line at the end. Source: reference validation-protocol.md §3.
func (a answer) text() string {
	var names []string
	params := make(map[string]string)
	add := func(name, value string) {
		names = append(names, name)
		params[name] = value
	}
	add("t", timestamp(a.at))
	if a.otp != "" {
		add("otp", a.otp)
		add("nonce", a.nonce)
	}
	if a.sl {
		add("sl", "0")
	}
	if c := a.counters; c != nil { // the names are crossed: DESIGN.md, glossary
		add("timestamp", strconv.Itoa(int(c.Timestamp)))
		add("sessioncounter", strconv.Itoa(int(c.UseCounter)))
		add("sessionuse", strconv.Itoa(int(c.SessionCounter)))
	}
	add("status", string(a.status))
	var b strings.Builder
	b.WriteString("h=" + Sign(a.key, params) + "\r\n")
	for _, name := range names {
		b.WriteString(name + "=" + params[name] + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// write sends the answer: always 200, because clients repeat the request on anything else, with the same nonce.
func (a answer) write(w http.ResponseWriter) {
	body := a.text()
	h := w.Header()
	h.Set("Content-Type", "text/plain")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(body)) // a client that went away needs no answer
}

// timestamp is the t of an answer: UTC, a Z, a zero, three digits of milliseconds; 24 characters. Source: reference
// validation-protocol.md §3.
func timestamp(t time.Time) string {
	t = t.UTC()
	return t.Format("2006-01-02T15:04:05") + fmt.Sprintf("Z0%03d", t.Nanosecond()/int(time.Millisecond))
}
