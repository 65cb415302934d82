package console

import "github.com/tokendesk/tokendesk/provision/desk"

// route is one address, and who may ask for it.
type route struct {
	name    string // by which pages ask whether to show the way to it; "": no page does
	pattern string
	access  access
	right   desk.Right // of an operator; "": any
	run     func(*visit) error
}

// access says what is needed beside the right.
type access int

const (
	session access = iota // somebody who is logged in; a POST also needs the session's CSRF value
	login                 // nothing yet, but a POST must not come from another site
	public                // nothing: the link itself is the right
)

// routes is the table of authorisation: what is not listed does not exist.
func routes() []route {
	return []route{
		{"", "GET /console/login", login, "", (*visit).showLogin},
		{"", "POST /console/login", login, "", (*visit).logIn},
		{"", "POST /console/logout", session, "", (*visit).logOut},
		{"", "GET /console/{$}", session, "", (*visit).home},
		{"", "GET /console/search", session, desk.RightFind, (*visit).searchAgain},
		{"search", "POST /console/search", session, desk.RightFind, (*visit).search},
		{"support", "POST /console/support", session, desk.RightDiagnose, (*visit).support},
		{"", "GET /console/diagnosis", session, desk.RightDiagnose, (*visit).askDiagnosis},
		{"diagnosis", "POST /console/diagnosis", session, desk.RightDiagnose, (*visit).diagnose},
		{"token", "GET /console/tokens/{id}", session, desk.RightFind, (*visit).showToken},
		{"", "GET /console/tokens/{id}/block", session, desk.RightBlock, (*visit).askBlock},
		{"block", "POST /console/tokens/{id}/block", session, desk.RightBlock, (*visit).block},
		{"", "GET /console/tokens/{id}/blocked", session, desk.RightBlock, (*visit).showBlocked},
		{"undo", "POST /console/tokens/{id}/undo", session, desk.RightBlock, (*visit).undo},
		{"settle", "POST /console/tokens/{id}/settle", session, desk.RightBlock, (*visit).settleAgain},
		{"", "GET /console/tokens/{id}/restore", session, desk.RightRestore, (*visit).askRestore},
		{"restore", "POST /console/tokens/{id}/restore", session, desk.RightRestore, (*visit).restore},
		{"person", "GET /console/persons/{account}", session, desk.RightFind, (*visit).showPerson},
		{"browser", "POST /console/persons/{account}/browsers/{browser}/revoke", session, desk.RightBlock, (*visit).revokeBrowser},
		{"", "GET /console/persons/{account}/temp", session, desk.RightTempCode, (*visit).askTemp},
		{"temp", "POST /console/persons/{account}/temp", session, desk.RightTempCode, (*visit).temp},
		{"end-temp", "POST /console/persons/{account}/temp/end", session, desk.RightTempCode, (*visit).endTemp},
		{"", "/console/", session, "", (*visit).nothingHere},
		{"", "GET /enroll/{value}", public, "", (*visit).openLink},
		{"", "POST /enroll/{value}", public, "", (*visit).showLink},
		{"", "POST /enroll/{value}/finish", public, "", (*visit).finishLink},
		{"", "/enroll/", public, "", (*visit).noLink},
	}
}
