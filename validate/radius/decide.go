package radius

import (
	"context"
	"errors"
	"fmt"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2869"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// The outcomes of a request.
const (
	outcomeAlive    = "alive"    // Status-Server
	outcomeAccepted = "accepted" // Access-Accept
	outcomeDenied   = "denied"   // Access-Reject: a code or a password is wrong
	outcomeRefused  = "refused"  // Access-Reject: the request is not what is answered here
	outcomeFailed   = "failed"   // no answer
)

// What a person or the operator of the device gets to read. No text tells which of the two factors was wrong.
const (
	sayDenied = "Not accepted. Support code: %s"
	sayNotPAP = "Only PAP is answered here."
)

// verdict is what becomes of a request.
type verdict struct {
	code  rad.Code // 0: there is no answer
	say   rad.Attributes
	drop  Drop // why there is none, if the device is at fault
	event validate.Answered
	after func(context.Context) error // what is left when the answer was given; nil: nothing
}

// decide is the story of one request.
func (s *Server) decide(ctx context.Context, q request) verdict {
	v := verdict{event: validate.Answered{Door: validate.DoorRADIUS, Start: q.start, Source: q.source, Route: q.nas.Name, Client: q.nas.Client, Signed: true}}
	client, err := s.Clients.Client(ctx, q.nas.Client)
	switch {
	case err != nil && !errors.Is(err, token.ErrNotFound):
		return v.fail(fmt.Errorf("find client: %w", err))
	case err != nil, !client.Active, !client.AllowsSource(q.source):
		v.drop = DropClient
		return v
	case s.Limit != nil && s.Limit(client, q.source):
		v.drop = DropLimit
		return v
	case q.packet.Code == rad.CodeStatusServer: // RFC 5997 §3: the store was just asked
		v.code, v.event.Outcome = rad.CodeAccessAccept, outcomeAlive
		return v
	}
	name, typed, ok := pap(q)
	if !ok {
		v.code, v.say, v.event.Outcome = rad.CodeAccessReject, reply(sayNotPAP), outcomeRefused
		return v
	}
	who := account(q.nas.NASRules, name)
	password, code, ok := split(q.nas.NASRules, typed)
	if who == "" || !ok || q.nas.Password == validate.PasswordUpstream && password == "" {
		return s.deny(v, who, typed, validate.Checked{Outcome: validate.BadOTP, Reason: validate.ReasonMalformed})
	}
	checked, err := s.Checker.Check(ctx, validate.Factor{Account: who, Text: code, Client: client, Source: q.source, Signed: true})
	if err != nil {
		return v.fail(err)
	}
	v.event.AboutCheck(checked)
	if checked.Outcome != validate.Accepted {
		return s.deny(v, who, code, checked)
	}
	if q.nas.Password == validate.PasswordUpstream {
		ok, grants, err := passes(ctx, q, password)
		if !ok {
			v.event.Err, checked.Reason = err, validate.ReasonPassword
			return s.refuse(v, who, checked, func(context.Context) ([]diagnose.Finding, error) { return passwordFindings(err), nil })
		}
		v.say = grants
	}
	v.code, v.event.Outcome = rad.CodeAccessAccept, outcomeAccepted
	return v
}

// pap is what a person typed. What else a request may ask for has no User-Password, or more than that. Source: RFC 2865 §4.1; RFC 3579
// §3.1: a server that knows no EAP rejects; a User-Password has 1 to 8 blocks: RFC 2865 §5.2.
func pap(q request) (name, typed string, ok bool) {
	names, passwords := 0, 0
	var sealed rad.Attribute
	for _, a := range q.packet.Attributes {
		switch a.Type {
		case rfc2865.UserName_Type:
			name = string(a.Attribute)
			names++
		case rfc2865.UserPassword_Type:
			sealed = a.Attribute
			passwords++
		case rfc2865.CHAPPassword_Type, rfc2869.EAPMessage_Type, rfc2869.ARAPPassword_Type:
			return "", "", false
		}
	}
	if names != 1 || passwords != 1 {
		return "", "", false
	}
	open, err := rad.UserPassword(sealed, q.secret, q.packet.Authenticator[:])
	return name, string(open), err == nil
}

// fail: nothing is known, and there is no answer.
func (v verdict) fail(err error) verdict {
	v.event.Outcome, v.event.Err = outcomeFailed, err
	return v
}

// deny answers with a support code. Why is found out and kept under it when the answer was sent.
func (s *Server) deny(v verdict, who, text string, checked validate.Checked) verdict {
	return s.refuse(v, who, checked, func(ctx context.Context) ([]diagnose.Finding, error) {
		return s.Doctor.Diagnose(ctx, diagnose.Question{Account: who, Text: text, Checked: &checked})
	})
}

// refuse is deny with other findings.
func (s *Server) refuse(v verdict, who string, checked validate.Checked, find func(context.Context) ([]diagnose.Finding, error)) verdict {
	drawn, err := token.NewSpoken(s.Rand, token.SupportLen)
	if err != nil {
		return v.fail(fmt.Errorf("draw a support code: %w", err))
	}
	defer drawn.Destroy()
	support := string(drawn.Reveal()) // no secret: it is read out on the telephone
	v.code, v.say = rad.CodeAccessReject, reply(fmt.Sprintf(sayDenied, token.ShowSpoken(support)))
	v.event.Outcome, v.event.Support, v.event.Reason = outcomeDenied, support, checked.Reason
	a := diagnose.Attempt{At: v.event.Start, Client: v.event.Client, Source: v.event.Source, Token: checked.Token}
	v.after = func(ctx context.Context) error {
		var err error
		if a.Findings, err = find(ctx); err != nil {
			return errors.Join(s.Checker.Note(ctx, checked), fmt.Errorf("diagnose: %w", err))
		}
		switch p, err := s.Persons.Person(ctx, who); {
		case checked.Person != 0:
			a.Person = &token.Person{ID: checked.Person, Account: who}
		case err == nil:
			a.Person = &p
		case !errors.Is(err, token.ErrNotFound):
			return errors.Join(s.Checker.Note(ctx, checked), err)
		}
		return errors.Join(s.Checker.Note(ctx, checked), s.Doctor.Keep(ctx, support, a))
	}
	return v
}

// reply is a Reply-Message, 253 bytes at most: RFC 2865 §5.18.
func reply(text string) rad.Attributes {
	return rad.Attributes{{Type: rfc2865.ReplyMessage_Type, Attribute: rad.Attribute(text)}}
}
