package api

import (
	"cmp"
	"net/http"
	"strconv"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// observe tells of the request: the route's pattern, never the path or anything else that came in.
func (c *call) observe(r route, status int, code string, err error) {
	if c.Observer == nil {
		return
	}
	a := validate.Answered{
		Door: r.door(), ID: c.w.Header().Get(validate.RequestIDHeader), Start: c.start, Source: c.source,
		Route: cmp.Or(r.method, "*") + " " + r.path, Status: status, Code: code, Support: c.support,
		Client: c.client.ID, Operator: c.operator.Name, Signed: c.proven, Limited: status == http.StatusTooManyRequests, After: c.failed,
	}
	if c.checked != nil {
		a.AboutCheck(*c.checked)
		if a.Outcome = denied; c.checked.Outcome == validate.Accepted {
			a.Outcome = accepted
		}
	}
	if id, err := strconv.ParseInt(c.r.PathValue("id"), 10, 64); err == nil && id > 0 {
		a.Token = token.ID(id)
	}
	if status >= http.StatusInternalServerError {
		a.Err = err
	}
	a.Took = c.Now().Sub(c.start)
	c.Observer.Answered(c.ctx, a)
}

// door is where requests of this route come in.
func (r route) door() validate.Door {
	switch {
	case r.path == "/api/v1/verify":
		return validate.DoorVerify
	case r.path == "/validate/check":
		return validate.DoorCheck
	case r.who == staff:
		return validate.DoorStaff
	}
	return validate.DoorOther
}
