package desk

import (
	"context"
	"encoding/base32"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

// Lengths of a shared secret in bytes. A device may dictate one; what is shorter than a request authenticator is too easily guessed by who
// sees a request: RFC 2865 §3.
const (
	radiusSecretLen    = 20 // random; 32 letters and digits as base32, which every device takes and no program takes for an option
	MinRADIUSSecretLen = 16
	MaxRADIUSSecretLen = 128
)

// Errors about devices that ask by RADIUS.
var (
	ErrNetworkTaken  = errors.New("another device has that network")
	ErrClientRevoked = errors.New("the client is revoked")
)

// RADIUS keeps the devices that ask by it. What changes counts within a second in every process.
type RADIUS interface {
	// AddNAS seals its one secret, and that of the upstream server, and returns the device's number. token.ErrDuplicate for a name that
	// is taken, ErrNetworkTaken, ErrClientRevoked.
	AddNAS(ctx context.Context, n validate.NAS) (int64, error)
	// ListNAS are all, by number, without secrets.
	ListNAS(ctx context.Context) ([]validate.NAS, error)
	// SetNAS changes it; token.ErrConflict if it is revoked, ErrNetworkTaken.
	SetNAS(ctx context.Context, id int64, c NASChange) error
	// RotateNAS is as RotateClient.
	RotateNAS(ctx context.Context, id int64, shared secret.Bytes, keep time.Duration) (time.Time, error)
	// RevokeNAS ends the device and destroys its secrets; token.ErrConflict if it was done.
	RevokeNAS(ctx context.Context, id int64) error
}

// NASChange changes a device; what is nil stays.
type NASChange struct {
	Networks       *[]netip.Prefix
	Rules          *validate.NASRules
	UpstreamSecret *secret.Bytes
}

// NewNAS is a device to be registered.
type NewNAS struct {
	Name           string
	Client         string // by name or number
	Networks       []netip.Prefix
	Rules          validate.NASRules // zero fields are the defaults
	Shared         secret.Bytes      // that the device dictates; of length 0: one is drawn
	UpstreamSecret secret.Bytes      // if Rules.Upstream is set
}

// checkShared: a secret that is typed into a device's form is printable, and has no blanks at its ends that get lost.
func checkShared(field string, s secret.Bytes) error {
	text := s.Reveal()
	switch {
	case len(text) < MinRADIUSSecretLen:
		return &TextError{field, "is shorter than 16 characters"}
	case len(text) > MaxRADIUSSecretLen:
		return &TextError{field, "is longer than 128 characters"}
	case slices.ContainsFunc(text, func(b byte) bool { return b < ' ' || b > '~' }):
		return &TextError{field, "has a character outside of ASCII"}
	case text[0] == ' ', text[len(text)-1] == ' ':
		return &TextError{field, "begins or ends with a space"}
	}
	return nil
}

// drawShared draws a secret, which is text.
func (d *Desk) drawShared() (secret.Bytes, error) {
	raw, err := secret.Random(d.Rand, radiusSecretLen)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer raw.Destroy()
	return secret.New(base32.StdEncoding.AppendEncode(nil, raw.Reveal())), nil
}

// checkRules completes rules and checks them.
func checkRules(r validate.NASRules) (validate.NASRules, error) {
	if r.Password == "" {
		r.Password = validate.PasswordNone
	}
	if r.CodeLen == 0 {
		r.CodeLen = validate.DefaultCodeLen
	}
	if r.OTPLen == 0 {
		r.OTPLen = validate.DefaultOTPLen
	}
	switch {
	case !slices.Contains(validate.PasswordRules(), r.Password):
		return r, &TextError{"password", "is none, ignore or upstream"}
	case r.CodeLen != 6 && r.CodeLen != 8:
		return r, &TextError{"code length", "is 6 or 8"}
	case r.OTPLen < validate.MinOTPLen || r.OTPLen > validate.MaxOTPLen || r.OTPLen%2 != 0:
		return r, &TextError{"OTP length", "is an even number from 32 to 48"}
	case (r.Password == validate.PasswordUpstream) != (r.Upstream != ""):
		return r, &TextError{"upstream", "is the server that checks passwords: it goes with the rule upstream, and only with that"}
	case r.Upstream != "":
		return r, checkUpstream(r.Upstream)
	}
	return r, nil
}

// checkUpstream: HOST:PORT.
func checkUpstream(s string) error {
	host, port, err := net.SplitHostPort(s)
	n, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || n == 0 || host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &TextError{"upstream", "is no HOST:PORT such as 192.0.2.7:1812"}
	}
	return nil
}

// checkUpstreamSecret: there is one if there is such a server.
func checkUpstreamSecret(r validate.NASRules, s secret.Bytes) error {
	const field = "secret of the upstream server"
	switch {
	case r.Upstream == "" && s.Len() == 0:
		return nil
	case r.Upstream == "":
		return &TextError{field, "goes with the rule upstream"}
	case s.Len() == 0:
		return &TextError{field, "is missing"}
	}
	return checkShared(field, s)
}

// checkNASNetworks: each once.
func checkNASNetworks(list []netip.Prefix) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, p := range list {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return nil, &TextError{"network", "is missing: a device is known by its address"}
	}
	return out, nil
}

// AddNAS registers a device that asks by RADIUS. Its secret is in the answer; the caller shows it once, if it was drawn, and destroys it.
func (d *Desk) AddNAS(ctx context.Context, n NewNAS) (validate.NAS, error) {
	if err := checkText("name", n.Name, true); err != nil {
		return validate.NAS{}, err
	}
	if _, err := strconv.ParseInt(n.Name, 10, 64); err == nil {
		return validate.NAS{}, &TextError{"name", "is a number, as devices have one"}
	}
	networks, err := checkNASNetworks(n.Networks)
	if err != nil {
		return validate.NAS{}, err
	}
	rules, err := checkRules(n.Rules)
	if err != nil {
		return validate.NAS{}, err
	}
	if err := checkUpstreamSecret(rules, n.UpstreamSecret); err != nil {
		return validate.NAS{}, err
	}
	client, err := d.Client(ctx, n.Client)
	if err != nil {
		return validate.NAS{}, err
	}
	shared, err := d.shared(n.Shared)
	if err != nil {
		return validate.NAS{}, err
	}
	nas := validate.NAS{Name: n.Name, Client: client.ID, Secrets: []secret.Bytes{shared}, Active: true, Networks: networks, NASRules: rules,
		UpstreamSecret: n.UpstreamSecret}
	if nas.ID, err = d.Store.AddNAS(ctx, nas); err != nil {
		shared.Destroy()
		return validate.NAS{}, err
	}
	return nas, nil
}

// shared is a copy of the secret that a device dictates, or a drawn one.
func (d *Desk) shared(dictated secret.Bytes) (secret.Bytes, error) {
	if dictated.Len() == 0 {
		return d.drawShared()
	}
	if err := checkShared("secret", dictated); err != nil {
		return secret.Bytes{}, err
	}
	return secret.Copy(dictated.Reveal()), nil
}

// NASes lists the devices that ask by RADIUS, without secrets.
func (d *Desk) NASes(ctx context.Context) ([]validate.NAS, error) { return d.Store.ListNAS(ctx) }

// NAS finds a device by its name or number, without secrets; token.ErrNotFound. A name goes before a number.
func (d *Desk) NAS(ctx context.Context, query string) (validate.NAS, error) {
	list, err := d.Store.ListNAS(ctx)
	if err != nil {
		return validate.NAS{}, err
	}
	for _, is := range []func(validate.NAS) bool{
		func(n validate.NAS) bool { return n.Name == query },
		func(n validate.NAS) bool { return strconv.FormatInt(n.ID, 10) == query },
	} {
		if i := slices.IndexFunc(list, is); i >= 0 {
			return list[i], nil
		}
	}
	return validate.NAS{}, token.ErrNotFound
}

// SetNAS changes a device and returns it as it is then. A server that checks passwords comes with its secret, unless it is the same as
// before.
func (d *Desk) SetNAS(ctx context.Context, query string, change NASChange) (validate.NAS, error) {
	n, err := d.NAS(ctx, query)
	if err != nil {
		return n, err
	}
	if change.Networks != nil {
		list, err := checkNASNetworks(*change.Networks)
		if err != nil {
			return n, err
		}
		change.Networks = &list
	}
	rules := n.NASRules
	if change.Rules != nil {
		if rules, err = checkRules(*change.Rules); err != nil {
			return n, err
		}
		change.Rules = &rules
	}
	if given := change.UpstreamSecret; given != nil || rules.Upstream != n.Upstream {
		if given == nil {
			given = &secret.Bytes{}
		}
		if err := checkUpstreamSecret(rules, *given); err != nil {
			return n, err
		}
	}
	if err := d.Store.SetNAS(ctx, n.ID, change); err != nil {
		return n, err
	}
	return d.NAS(ctx, n.Name)
}

// RotateNAS gives a device a new secret, the dictated one or a drawn one, which is in the answer; the caller destroys it. The former is
// valid for keep more; with 0 no other stays valid. ErrRotating if two are valid already and keep is not 0.
func (d *Desk) RotateNAS(ctx context.Context, query string, dictated secret.Bytes, keep time.Duration) (validate.NAS, error) {
	if keep < 0 {
		return validate.NAS{}, &TextError{"keep", "is below 0"}
	}
	n, err := d.NAS(ctx, query)
	if err != nil {
		return n, err
	}
	shared, err := d.shared(dictated)
	if err != nil {
		return n, err
	}
	if n.Until, err = d.Store.RotateNAS(ctx, n.ID, shared, keep); err != nil {
		shared.Destroy()
		return n, err
	}
	n.Secrets = []secret.Bytes{shared}
	return n, nil
}

// RevokeNAS ends a device: what it asks is dropped.
func (d *Desk) RevokeNAS(ctx context.Context, query string) (validate.NAS, error) {
	n, err := d.NAS(ctx, query)
	if err != nil {
		return n, err
	}
	return n, d.Store.RevokeNAS(ctx, n.ID)
}
