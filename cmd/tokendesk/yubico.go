package main

import (
	"net/netip"

	"github.com/spf13/pflag"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/validate/wsapi"
)

// yubicoOptions are the flags of serve for what yubikey-ksm and a yubikey-val pool do.
type yubicoOptions struct {
	ksm, loopback        bool
	syncFrom, revokeFrom []string
}

func (o *yubicoOptions) flags(f *pflag.FlagSet) {
	f.BoolVar(&o.ksm, "ksm", false, "answer /wsapi/decrypt, as --role ksm does, beside the rest")
	f.BoolVar(&o.loopback, "ksm-loopback", false, "let every process of this machine ask at /wsapi/decrypt, as localhost or 127.0.0.1; not what a proxy forwards")
	f.StringArrayVar(&o.syncFrom, "sync-from", nil, "address or prefix of a yubikey-val server whose /wsapi/2.0/sync counts, while you move from its pool; may be repeated")
	f.StringArrayVar(&o.revokeFrom, "revoke-from", nil, "address or prefix that may block tokens at /wsapi/revoke; may be repeated")
}

// check refuses what does not go together.
func (o *yubicoOptions) check(role serveRole) error {
	switch {
	case role == roleKSM && len(o.syncFrom)+len(o.revokeFrom) > 0:
		return usagef("--sync-from and --revoke-from are nothing for --role ksm, which decides about nobody")
	case o.loopback && !o.ksm && role != roleKSM:
		return usagef("--ksm-loopback goes with --ksm or --role ksm")
	}
	for flag, list := range map[string][]string{"--sync-from": o.syncFrom, "--revoke-from": o.revokeFrom} {
		if _, err := addresses(flag, list); err != nil {
			return err
		}
	}
	return nil
}

// addresses reads addresses and prefixes. One that holds every address is a mistake: the address is the only proof.
func addresses(flag string, list []string) (out []netip.Prefix, err error) {
	for _, text := range list {
		p, err := desk.ParseNetwork(text)
		if err != nil || p.Bits() == 0 {
			return nil, usagef("%s: %q is no address and no prefix such as 192.0.2.0/29", flag, printable(text))
		}
		out = append(out, p)
	}
	return out, nil
}

// ksm answers another validation server that has no keys.
func (s *serving) ksm() error {
	if s.role != roleKSM && !s.foreign.ksm {
		return nil
	}
	s.mux.Handle("/wsapi/decrypt", &wsapi.KSM{
		Verifier: s.verifier, Clients: s.st, Now: s.now, Observer: s.observer, Loopback: s.foreign.loopback, Limit: s.limits.tooOften,
	})
	return nil
}

// pool answers what servers and scripts of yubikey-val send.
func (s *serving) pool() error {
	sync, err := addresses("--sync-from", s.foreign.syncFrom)
	if err != nil {
		return err
	}
	revoke, err := addresses("--revoke-from", s.foreign.revokeFrom)
	if err != nil {
		return err
	}
	if len(sync) > 0 {
		s.mux.Handle("/wsapi/2.0/sync", &wsapi.Sync{Raiser: s.st, From: sync, Now: s.now, Observer: s.observer})
	}
	if len(revoke) > 0 {
		s.mux.Handle("/wsapi/revoke", &wsapi.Revoke{Store: s.st, From: revoke, Now: s.now, Observer: s.observer, Settle: s.settle})
	}
	return nil
}
