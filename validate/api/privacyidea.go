package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// The part of privacyIDEA's /validate/check that its plugins use, read from their sources: the FreeRADIUS module, the PAM module and the
// clients in Java and PHP, which are in the plugins for Keycloak, ADFS, simpleSAMLphp, Nextcloud and others. All of them POST; so a GET,
// which would have the code in the URL, is refused. They send a form (Java, FreeRADIUS, PAM) or multipart/form-data (PHP); JSON is
// taken too.
//
// Of the parameters, user or serial and pass count. There are no realms, no PINs and no challenges: what else is sent is ignored.

// piRequest is what counts of a request.
type piRequest struct{ user, serial, pass string }

// piAnswer is the answer as the plugins read it: result.status false is an error, result.value the decision.
type piAnswer struct {
	Detail  *piDetail `json:"detail"`
	ID      int       `json:"id"` // always 1
	JSONRPC string    `json:"jsonrpc"`
	Result  piResult  `json:"result"`
	Time    float64   `json:"time"` // seconds since 1970
	Version string    `json:"version"`
}

type piResult struct {
	Authentication string   `json:"authentication,omitempty"` // "ACCEPT" or "REJECT"
	Error          *piError `json:"error,omitempty"`
	Status         bool     `json:"status"`
	Value          *bool    `json:"value,omitempty"`
}

type piError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

type piDetail struct {
	Message string `json:"message"` // FreeRADIUS shows it to the person
	OTPLen  int    `json:"otplen,omitempty"`
	Serial  string `json:"serial,omitempty"`
	Type    string `json:"type,omitempty"`
}

// piVersion stands where the plugins expect the version of a privacyIDEA.
const piVersion = "tokendesk"

// validateCheck decides about one factor, with no word about trusted browsers.
func (c *call) validateCheck() (any, error) {
	q, err := c.piRequest()
	if err != nil {
		return nil, err
	}
	if (q.user == "") == (q.serial == "") {
		return nil, errPersonSerial
	}
	checked, err := c.check(validate.Factor{Account: q.user, Serial: q.serial, Text: q.pass})
	if err != nil {
		return nil, err
	}
	if checked.Outcome != validate.Accepted {
		_, err := c.deny(q.user, q.serial, q.pass, checked)
		return c.piAnswer(false, &piDetail{Message: fmt.Sprintf("wrong otp value; support code %s", token.ShowSpoken(c.support))}), err
	}
	return c.piAnswer(true, c.piDetail(checked)), nil
}

func (c *call) piAnswer(value bool, detail *piDetail) piAnswer {
	a := piAnswer{Detail: detail, ID: 1, JSONRPC: "2.0", Time: float64(c.start.UnixMicro()) / 1e6, Version: piVersion}
	a.Result = piResult{Authentication: "REJECT", Status: true, Value: &value}
	if value {
		a.Result.Authentication = "ACCEPT"
	}
	return a
}

// piDetail names the token that was accepted. The factor is spent: a failure to read its names costs only those.
func (c *call) piDetail(checked validate.Checked) *piDetail {
	d := &piDetail{Message: "matching 1 tokens", Type: checked.Kind}
	if d.Type == string(token.YubicoOTP) {
		d.Type = "yubikey"
	}
	if checked.Credential == 0 {
		return d
	}
	t, list, err := c.Desk.Show(c.ctx, desk.ByID(checked.Token))
	if err != nil {
		c.failed = fmt.Errorf("read the token's names: %w", err)
		return d
	}
	if d.Serial = t.Label; t.Serial != 0 {
		d.Serial = t.Serial.String()
	}
	for _, k := range list {
		if k.ID == checked.Credential {
			d.OTPLen = k.Settings.Digits
		}
	}
	return d
}

// privacyIDEA's numbers of errors.
const (
	piParameter   = 905  // a parameter is missing or wrong
	piCredentials = 4031 // of the client
	piServer      = 903
)

// privacyIDEAError is a problem in the form of privacyIDEA. 904, unknown user, is never said.
func privacyIDEAError(c *call, p *problem) []byte {
	e := piError{piParameter, p.Message}
	switch {
	case p.Status == http.StatusUnauthorized:
		e.Code = piCredentials
	case p.Status >= http.StatusInternalServerError, p.Status == http.StatusTooManyRequests:
		e.Code = piServer
	}
	e.Message = fmt.Sprintf("ERR%d: %s", e.Code, e.Message)
	if p.Support != "" {
		e.Message += " Support code " + p.Support
	}
	a := c.piAnswer(false, nil)
	a.Result = piResult{Error: &e}
	body, err := json.Marshal(a)
	if err != nil {
		panic(err) // strings and numbers
	}
	return body
}

// piRequest reads the body in any of its forms.
func (c *call) piRequest() (piRequest, error) {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil {
		return piRequest{}, errFormType
	}
	body, err := text(c.w, c.r)
	if err != nil {
		return piRequest{}, err
	}
	switch kind {
	case "application/json":
		return parsePIJSON(body)
	case "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(body))
		if err != nil {
			return piRequest{}, errForm
		}
		return piValues(values, c.r.UserAgent())
	case "multipart/form-data":
		form, err := multipart.NewReader(strings.NewReader(string(body)), params["boundary"]).ReadForm(maxBody)
		if err != nil || len(form.File) > 0 {
			return piRequest{}, errForm
		}
		return piValues(form.Value, c.r.UserAgent())
	}
	return piRequest{}, errFormType
}

// parsePIJSON reads an object; what does not count may be anything, and what counts comes once.
func parsePIJSON(body []byte) (piRequest, error) {
	var q piRequest
	fields := map[string]*string{"user": &q.user, "serial": &q.serial, "pass": &q.pass}
	d := json.NewDecoder(bytes.NewReader(body))
	if first, err := d.Token(); err != nil || first != json.Delim('{') || !utf8.Valid(body) {
		return piRequest{}, errForm
	}
	for d.More() {
		var value json.RawMessage
		name, err := d.Token()
		if err != nil || d.Decode(&value) != nil {
			return piRequest{}, errForm
		}
		key, _ := name.(string)
		field, counts := fields[key]
		switch {
		case !counts:
			continue
		case field == nil, json.Unmarshal(value, field) != nil:
			return piRequest{}, errForm
		}
		fields[key] = nil
	}
	if _, err := d.Token(); err != nil {
		return piRequest{}, errForm
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return piRequest{}, errForm
	}
	return q, nil
}

// piValues takes the parameters, each of which comes once. Values are unescaped once more unless the caller is known to escape
// them once: the client in Java and the FreeRADIUS module escape what they put into the form, and privacyIDEA makes up
// for it just so. Source: privacyIDEA, api/lib/utils.py, check_unquote.
func piValues(values url.Values, agent string) (piRequest, error) {
	var q piRequest
	for name, field := range map[string]*string{"user": &q.user, "serial": &q.serial, "pass": &q.pass} {
		if len(values[name]) > 1 {
			return piRequest{}, errForm
		}
		*field = values.Get(name)
		if again, err := url.PathUnescape(*field); err == nil && !escapesOnce(agent) {
			*field = again
		}
	}
	return q, nil
}

// escapesOnce names the callers that escape as everybody does.
func escapesOnce(agent string) bool {
	name, _, _ := strings.Cut(strings.ToLower(agent), "/")
	return name == "privacyidea-cp" || name == "privacyidea-ldap-proxy" || name == "simplesamlphp"
}
