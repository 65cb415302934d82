package radius

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	rad "layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"

	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// How the server that checks passwords is asked: within patience, less what the code took.
const (
	upstreamTries   = 3
	upstreamWait    = 2 * time.Second // for each
	microsoftVendor = 311             // RFC 2548
)

// errUpstream is a server that gave no right answer.
var errUpstream = errors.New("no authentic answer of the upstream server: its address, the secret, and that it sends Message-Authenticator")

// passes asks the upstream server of a device about the password alone. It returns what the server grants, for the device.
func passes(ctx context.Context, q request, password string) (ok bool, grants rad.Attributes, err error) {
	shared := q.nas.UpstreamSecret.Reveal()
	p := rad.New(rad.CodeAccessRequest, shared)
	sealed, err := rad.NewUserPassword([]byte(password), shared, p.Authenticator[:])
	if err != nil {
		return false, nil, nil // longer than 128 bytes, as no password there is
	}
	for _, a := range q.packet.Attributes {
		if a.Type == rfc2865.UserPassword_Type {
			a = &rad.AVP{Type: a.Type, Attribute: sealed}
		}
		if !between(a) {
			p.Attributes = append(p.Attributes, a)
		}
	}
	asked, err := seal(p, shared)
	if err != nil {
		return false, nil, err
	}
	answer, err := exchange(ctx, q.nas.Upstream, asked, p.Authenticator, shared)
	if err != nil || answer.Code != rad.CodeAccessAccept {
		return false, nil, err
	}
	for _, a := range answer.Attributes {
		if !between(a) && !keyed(a) {
			grants = append(grants, a)
		}
	}
	return true, grants, nil
}

// between reports whether an attribute is for the two ends of one exchange only.
func between(a *rad.AVP) bool {
	switch a.Type {
	case rfc2869.MessageAuthenticator_Type, rfc2865.ProxyState_Type, rfc2865.State_Type:
		return true
	}
	return false
}

// keyed reports whether an attribute is encrypted with the secret of the exchange, as keys of MPPE are, which PAP has none of.
func keyed(a *rad.AVP) bool {
	vendor, _, err := rad.VendorSpecific(a.Attribute)
	return a.Type == rfc2868.TunnelPassword_Type || a.Type == rfc2869.EAPMessage_Type || a.Type == rfc2865.VendorSpecific_Type && (err != nil || vendor == microsoftVendor)
}

// exchange sends a request, again if need be, until an authentic answer comes: what others send does not count, nor what is for another
// identifier, which both authenticators cover.
func exchange(ctx context.Context, address string, asked []byte, authenticator [16]byte, shared []byte) (*rad.Packet, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "udp", address) // a port of its own for each request, and only answers from there
	if err != nil {
		return nil, fmt.Errorf("upstream server: %w", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, rad.MaxPacketLength)
	for try := 0; try < upstreamTries && ctx.Err() == nil; try++ {
		_, _ = conn.Write(asked) // that nobody listens there is told by the read
		_ = conn.SetReadDeadline(time.Now().Add(upstreamWait))
		for ctx.Err() == nil {
			n, err := conn.Read(buf)
			if err != nil {
				if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
					break
				}
				return nil, fmt.Errorf("upstream server: %w", err)
			}
			raw, p, err := parse(buf[:n])
			if err == nil && authenticAnswer(raw, authenticator, shared) {
				return p, nil
			}
		}
	}
	return nil, errUpstream
}

// passwordFindings are what the helpdesk reads about a password that was refused.
func passwordFindings(err error) []diagnose.Finding {
	f := diagnose.Finding{
		Code: "RADIUS", Title: "password refused", Cause: "The code was right, and the server that checks passwords refused the password.",
		Evidence: "answer of the upstream RADIUS server", User: "Type the password again, with the next code.", Helper: "The code is used up. See the log of the upstream server.",
	}
	if err != nil {
		f.Title, f.Cause = "password not checked", "The code was right, but the server that checks passwords gave no answer that counts."
		f.Evidence, f.User = err.Error(), "Not your fault. Try again later, with the next code."
		f.Helper, f.Action = "See to that server, its secret here, and that it sends Message-Authenticator.", "tokendesk radius list"
	}
	return []diagnose.Finding{f}
}
