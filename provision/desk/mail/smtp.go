package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// timeout bounds each exchange with the relay.
const timeout = 30 * time.Second

// Relay is a mail server that takes messages for everybody without a login.
type Relay struct {
	Address string // "host:port"
	From    string
	TLS     *tls.Config // for STARTTLS, which must succeed; nil: in the clear
}

// SMTP sends by one connection, which is made for the first message. Not for concurrent use.
type SMTP struct {
	relay  Relay
	client *gomail.Client
	open   bool
}

var _ desk.Sender = (*SMTP)(nil)

// NewSMTP connects to nothing yet.
func NewSMTP(r Relay) (*SMTP, error) {
	host, service, err := net.SplitHostPort(r.Address)
	if err != nil {
		return nil, errors.New("a relay is HOST:PORT")
	}
	port, err := strconv.ParseUint(service, 10, 16)
	if err != nil || port == 0 || host == "" {
		return nil, errors.New("a relay is HOST:PORT")
	}
	options := []gomail.Option{gomail.WithPort(int(port)), gomail.WithTimeout(timeout), gomail.WithTLSPolicy(gomail.NoTLS)}
	if r.TLS != nil {
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithTLSConfig(r.TLS))
	}
	client, err := gomail.NewClient(host, options...)
	if err != nil {
		return nil, fmt.Errorf("mail relay: %w", err)
	}
	return &SMTP{relay: r, client: client}, nil
}

// Send implements desk.Sender. desk.ErrUnreachable: there is no relay, or it takes nothing from this sender; after a refusal of
// one message it is ready for the next.
func (s *SMTP) Send(ctx context.Context, m desk.Message) error {
	msg, err := compose(s.relay.From, m)
	if err != nil {
		return err
	}
	if !s.open {
		if err := s.client.DialWithContext(ctx); err != nil {
			return fmt.Errorf("%w: %w", desk.ErrUnreachable, err)
		}
		s.open = true
	}
	err = s.client.Send(msg)
	if err == nil || msg.IsDelivered() { // also if what follows the delivery failed
		return nil
	}
	var refused *gomail.SendError
	if errors.As(err, &refused) && refused.ErrorCode() >= 400 && refused.ErrorCode() != serviceGone && refused.Reason != gomail.ErrSMTPMailFrom {
		return err
	}
	s.open = false
	_ = s.client.Close() // it may be broken; why has been told
	return fmt.Errorf("%w: %w", desk.ErrUnreachable, err)
}

// serviceGone is the reply of a server that closes the connection. Source: RFC 5321 §4.2.3.
const serviceGone = 421

// Close ends the connection.
func (s *SMTP) Close() error {
	if !s.open {
		return nil
	}
	s.open = false
	return s.client.Close()
}
