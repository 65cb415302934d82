package push

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// ErrNotFound is an answer of Value: what the request names does not exist there.
var ErrNotFound = errors.New("not found")

// notFound is privacyIDEA's code of it. Source: privacyidea/lib/error.py, ERROR.RESOURCE_NOT_FOUND.
const notFound = 601

// Value reads {"result": {"status": true, "value": …}}, which is how privacyIDEA and LinOTP answer, or why there is none.
// LinOTP answers most errors with status 200, so the status inside counts. fields are the parameters that an error may be
// about, the most particular first.
func (w *Web) Value(a Answer, into any, fields ...string) error {
	var r struct {
		Result struct {
			Status *bool
			Value  json.RawMessage
			Error  struct {
				Code    int
				Message string
			}
		}
	}
	if err := w.Decode(a, &r); err != nil {
		return err
	}
	code := r.Result.Error.Code
	switch {
	case r.Result.Status == nil:
		return w.Strange(a)
	case code == notFound || a.Status == http.StatusNotFound:
		return ErrNotFound
	case a.Status == http.StatusForbidden:
		return &RefusedError{w.Server, "rights", fmt.Sprintf("a policy forbids it (error %d)", code)}
	case !*r.Result.Status:
		return &RefusedError{w.Server, Mentioned(r.Result.Error.Message, fields...), fmt.Sprintf("error %d", code)}
	case a.Status >= 400 || json.Unmarshal(r.Result.Value, into) != nil:
		return w.Strange(a)
	}
	return nil
}

// Mentioned is the first of fields that a server's message names, "" if it names none. The message itself may hold anything and
// is shown to nobody.
func Mentioned(message string, fields ...string) string {
	message = strings.ToLower(message)
	for _, f := range fields {
		if strings.Contains(message, strings.ToLower(f)) {
			return f
		}
	}
	return ""
}
