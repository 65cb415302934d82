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

// text is the body. Source: reference validation-protocol.md §3.
func (a answer) text() string {
	list := []field{{"t", timestamp(a.at)}}
	if a.otp != "" {
		list = append(list, field{"otp", a.otp}, field{"nonce", a.nonce})
	}
	if a.sl {
		list = append(list, field{"sl", "0"})
	}
	if c := a.counters; c != nil { // the names are crossed: DESIGN.md, glossary
		list = append(list, field{"timestamp", strconv.Itoa(int(c.Timestamp))}, field{"sessioncounter", strconv.Itoa(int(c.UseCounter))},
			field{"sessionuse", strconv.Itoa(int(c.SessionCounter))})
	}
	return message(a.key, append(list, field{"status", string(a.status)}))
}

// field is one line of an answer.
type field struct{ name, value string }

// message is the signed body: name=value CRLF, h first, an empty line at the end.
func message(key secret.Bytes, list []field) string {
	params := make(map[string]string, len(list))
	for _, f := range list {
		params[f.name] = f.value
	}
	var b strings.Builder
	b.WriteString("h=" + Sign(key, params) + "\r\n")
	for _, f := range list {
		b.WriteString(f.name + "=" + f.value + "\r\n")
	}
	b.WriteString("\r\n")
	return b.String()
}

// write sends the answer: always 200, because clients repeat the request on anything else, with the same nonce.
func (a answer) write(w http.ResponseWriter) { writeMessage(w, a.text()) }

func writeMessage(w http.ResponseWriter, body string) {
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
