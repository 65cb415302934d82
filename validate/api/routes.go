package api

import (
	"net/http"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// route is one address, whom it is for and what it does.
type route struct {
	method, path string // path as a pattern of http.ServeMux
	who          audience
	right        desk.Right // that staff need
	run          func(*call) (any, error)
	problem      func(*call, *problem) []byte // another form of problems; nil: problem documents
}

// routes is the table that drives the server. The mux is made of it, and so is the test of who may do what.
func routes() []route {
	const get, post, del = http.MethodGet, http.MethodPost, http.MethodDelete
	return []route{
		{post, "/api/v1/verify", relying, "", (*call).verify, nil},
		{post, "/validate/check", relying, "", (*call).validateCheck, privacyIDEAError},

		{get, "/api/v1/search", staff, desk.RightFind, (*call).searchURL, nil},
		{post, "/api/v1/search", staff, desk.RightFind, (*call).searchBody, nil},
		{get, "/api/v1/persons/{account}", staff, desk.RightFind, (*call).person, nil},
		{get, "/api/v1/tokens/{id}", staff, desk.RightFind, (*call).token, nil},
		{get, "/api/v1/tokens/{id}/events", staff, desk.RightFind, (*call).tokenEvents, nil},
		{post, "/api/v1/diagnose", staff, desk.RightDiagnose, (*call).diagnose, nil},

		{post, "/api/v1/tokens/{id}/block", staff, desk.RightBlock, (*call).block, nil},
		{post, "/api/v1/tokens/{id}/lost", staff, desk.RightBlock, (*call).lost, nil},
		{post, "/api/v1/tokens/{id}/undo", staff, desk.RightBlock, (*call).undo, nil},
		{post, "/api/v1/tokens/{id}/restore", staff, desk.RightRestore, (*call).restore, nil},
		{post, "/api/v1/tokens/{id}/issue", staff, desk.RightIssue, (*call).issue, nil},
		{post, "/api/v1/tokens/{id}/verify", staff, desk.RightConfirm, (*call).confirm, nil},
		{post, "/api/v1/tokens/{id}/resync", staff, desk.RightResync, (*call).resync, nil},
		{post, "/api/v1/tokens/{id}/release", staff, desk.RightRelease, (*call).release, nil},
		{post, "/api/v1/tokens/{id}/return", staff, desk.RightReturn, (*call).giveBack, nil},
		{post, "/api/v1/tokens/{id}/retire", staff, desk.RightRetire, (*call).retire, nil},

		{post, "/api/v1/codes/temp", staff, desk.RightTempCode, (*call).tempCode, nil},
		{post, "/api/v1/codes/recovery", staff, desk.RightRecoveryCodes, (*call).recoveryCodes, nil},
		{post, "/api/v1/activations", staff, desk.RightEnroll, (*call).activation, nil},
		{get, "/api/v1/browsers", staff, desk.RightFind, (*call).browsers, nil},
		{del, "/api/v1/browsers", staff, desk.RightBlock, (*call).revokeBrowsers, nil},

		{get, "/api/v1/clients", staff, desk.RightClients, (*call).clients, nil},
		{get, "/api/v1/operators", staff, desk.RightOperators, (*call).operators, nil},
	}
}
