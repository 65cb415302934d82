package console

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

//go:embed pages
var files embed.FS

// templates are pages that know one another.
type templates = *template.Template

// pages are all pages: the console's, and the public ones by language.
type pages struct {
	console templates
	enroll  map[string]templates
}

// parsePages reads what is built in.
func parsePages() pages {
	read := func(names ...string) templates {
		for i, n := range names {
			names[i] = "pages/" + n
		}
		return template.Must(template.New("").Funcs(functions()).ParseFS(files, names...))
	}
	p := pages{
		console: read("layout.html", "login.html", "search.html", "token.html", "block.html", "blocked.html", "restore.html", "temp.html",
			"person.html", "support.html", "diagnosis.html", "error.html"),
		enroll: map[string]templates{},
	}
	for _, l := range languages {
		p.enroll[l] = read("enroll.html", "enroll."+l+".html")
	}
	return p
}

// functions are what pages call. Times are shown in the server's zone.
func functions() template.FuncMap {
	return template.FuncMap{
		"when":           func(t time.Time) string { return t.Local().Format("2 Jan 2006, 15:04") },
		"clock":          func(t time.Time) string { return t.Local().Format("15:04") },
		"stamp":          func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"tokenName":      tokenName,
		"personPath":     personPath,
		"diagnosisPath":  diagnosisPath,
		"whose":          whose,
		"credentialName": credentialName,
		"credentialNote": credentialNote,
	}
}

// static serves the style and the icon. A browser asks each time whether they changed.
func static(w http.ResponseWriter, r *http.Request) {
	name := path.Base(r.URL.Path)
	data, err := files.ReadFile("pages/" + name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	sum := sha256.Sum256(data)
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(data))
}

// page is the frame of a page of the console.
type page struct {
	Title    string
	Operator desk.Operator // the zero one before log-in
	CSRF     string
	Query    string // in the search field
	Home     bool   // the search field has the focus
	Narrow   bool
	Refresh  int    // seconds until the page is loaded again; 0: never
	Said     string // what was just done
	Problem  string // why something was not done
	rights   map[string]desk.Right
}

// Can reports whether the operator may do what the route of that name does. A name without a route is an error, so that no button
// vanishes by a slip.
func (p page) Can(name string) (bool, error) {
	right, ok := p.rights[name]
	if !ok {
		return false, fmt.Errorf("no route is named %s", name)
	}
	return p.Operator.May(right), nil
}

// Diagnoses reports whether the operator may ask why a code of a person or token is refused, not only what a text shows by itself.
func (p page) Diagnoses() bool {
	return p.Operator.May(desk.RightDiagnose) && p.Operator.May(desk.RightResync)
}

// said are the sentences about what was just done, by the word in the address.
var said = map[string]string{
	"undone":   "The block was undone: the token is as it was before. Browsers and links that the block ended stay gone.",
	"restored": "The token is restored: its codes are accepted again.",
	"browser":  "The browser is not trusted any more.",
	"ended":    "Temporary codes of this person are not accepted any more.",
	"out":      "You are logged out.",
}

// tokenName is how staff call a token: what is printed on it, else its number here.
func tokenName(t token.Token) string {
	return cmp.Or(t.Serial.String(), t.Label, t.StockNumber, "Token "+strconv.FormatInt(int64(t.ID), 10))
}

// credentialName says what a credential is and where it sits.
func credentialName(c token.Credential) string {
	names := map[token.Kind]string{
		token.YubicoOTP: "Yubico OTP", token.HOTP: "HOTP", token.TOTP: "TOTP", token.ChallengeResponse: "Challenge-response",
		token.Static: "Static password", token.PIV: "PIV",
	}
	name := cmp.Or(names[c.Kind], string(c.Kind))
	if c.Slot != 0 {
		name += ", slot " + strconv.Itoa(int(c.Slot))
	}
	if c.Settings.Account != "" {
		name += ", account " + c.Settings.Account
	}
	return name
}

// credentialNote is what helps to tell a credential from others. It holds no secret.
func credentialNote(c token.Credential) string {
	var parts []string
	if c.PublicID.Len() > 0 {
		parts = append(parts, "public ID "+c.PublicID.String())
	}
	if c.Settings.Issuer != "" {
		parts = append(parts, "shown as "+c.Settings.Issuer)
	}
	if c.Settings.Digits != 0 {
		parts = append(parts, strconv.Itoa(c.Settings.Digits)+" digits")
	}
	if c.Settings.Period != 0 {
		parts = append(parts, "new every "+strconv.Itoa(int(c.Settings.Period/time.Second))+" s")
	}
	if drift := c.Counters.Clock.Drift; drift != 0 {
		parts = append(parts, fmt.Sprintf("clock %+d s", drift*int64(c.Settings.Period/time.Second)))
	}
	if c.ProvenAt.IsZero() {
		parts = append(parts, "never proven")
	}
	if c.Counters.Use >= validate.NearEnd {
		parts = append(parts, "use counter almost used up: replace the key")
	}
	return strings.Join(parts, " · ")
}

// lastUse is when one of the credentials was used last; zero: never.
func lastUse(list []token.Credential) time.Time {
	var last time.Time
	for _, c := range list {
		if at := c.Counters.At; at.After(last) {
			last = at
		}
	}
	return last
}
