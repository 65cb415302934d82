// Package mail sends the notices of package desk: by SMTP to the site's relay, or as files into a spool directory that another
// program takes them from. A message is plain text and holds no secret, so that a relay on the same network may be spoken to in
// the clear.
//
//	s, err := mail.NewSMTP(mail.Relay{Address: "relay.example.org:587", From: "desk@example.org", TLS: &tls.Config{…}})
//	defer s.Close()
//	done, err := desk.SendNotices(ctx, s, "en")
package mail

import (
	"errors"
	"net/mail"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// errAddress does not hold what stood there.
var errAddress = errors.New("not a mail address")

// CheckFrom says whether an address, with or without a name, may be the sender of messages.
func CheckFrom(address string) error {
	if _, err := mail.ParseAddress(address); err != nil {
		return errAddress
	}
	return nil
}

// compose makes the message. Its Message-ID depends on the notice alone, so that a relay may know one that it got twice. It is
// marked as made by a program (RFC 3834).
func compose(from string, m desk.Message) (*gomail.Msg, error) {
	sender, err := mail.ParseAddress(from)
	if err != nil {
		return nil, errAddress
	}
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(from); err != nil {
		return nil, errAddress
	}
	if a, err := mail.ParseAddress(m.To); err != nil || a.Address != m.To { // the library mends what it gets
		return nil, errAddress
	}
	to := mail.Address{Name: m.Name, Address: m.To}
	if err := msg.To(to.String()); err != nil {
		return nil, errAddress
	}
	_, domain, _ := strings.Cut(sender.Address, "@")
	msg.SetMessageIDWithValue(m.ID + "@" + domain)
	msg.SetDateWithValue(m.At)
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.Subject(m.Subject)
	msg.SetBodyString(gomail.TypeTextPlain, m.Body)
	return msg, nil
}
