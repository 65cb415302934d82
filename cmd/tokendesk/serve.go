package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/validate/caller"
	"github.com/tokendesk/tokendesk/validate/front"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	role        serveRole
	listen      string
	tls         front.Files
	radius      []string // addresses
	proxies     []string
	limit       int           // requests a second from one address; 0: no limit
	clientLimit int           // requests a second of one client; 0: no limit
	layouts     bool          // accept OTPs that other keyboard layouts changed
	drain       time.Duration // how long to answer after the signal to stop
	logFormat   string
	metrics     []string      // who may read them
	foreign     yubicoOptions // for what others ask than relying servers
	spent       string        // file of what is spent; "": none
}

// reloadEvery is how often the TLS files are looked at.
const reloadEvery = 2 * time.Second

func newServeCmd(a *app) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer relying servers (Yubico validation protocol 2.0, JSON) and the tools of staff", Args: args(0, 0, ""),
		Long: `Answer validation requests of relying servers: by the Yubico validation protocol 2.0 under /wsapi/2.0/verify, as JSON under
/api/v1/verify, and as plugins of privacyIDEA send them under /validate/check. Operators have the rest of /api/v1/ with
their API tokens (operator add), and the helpdesk's pages under /console/ in a browser. Under /enroll/ persons set up an
app. With --radius devices are answered too (radius add). Any number of servers may run on one store. Each request is one
line of the log, without one-time passwords. An address that asks more often than --limit, and a relying server that asks
more often than --client-limit, is answered BACKEND_ERROR, or HTTP status 429.

With --ksm, or alone with --role ksm, /wsapi/decrypt says what a one-time password holds, to another validation server: to a client
with that right (client set --decrypt), by TLS client certificate (--tls-client-ca), or with --ksm-loopback to whatever runs on
this machine. --sync-from and --revoke-from take what a yubikey-val pool and its scripts send, while you move from it.

With --accept-layouts, what a key typed on any of some 570 keyboard layouts, with Caps Lock, or through an input method is
read back; a text counts only if it decrypts and its private ID is right.

Beyond this machine, requests should travel by TLS: give --tls-cert and --tls-key, or put a proxy in front and name it by
--trusted-proxy, so that networks and limits count for who asks and not for the proxy. Files of TLS are read again when they
change. SIGTERM stops the server when what it has begun is answered.`,
		Example: "  tokendesk serve\n  tokendesk serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem\n  curl http://127.0.0.1:8086/healthz",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar((*string)(&o.role), "role", string(roleAll), "all; validate: only what relying servers ask; ksm: only decrypt for another validation server")
	complete(cmd, "role", string(roleAll), string(roleValidate), string(roleKSM))
	f.StringVar(&o.listen, "listen", "127.0.0.1:8086", "address and port, or unix:/path; sockets that systemd passes take its place")
	f.StringVar(&o.tls.Cert, "tls-cert", "", "file of the TLS certificate chain (PEM); read again when it changes, and by SIGHUP")
	f.StringVar(&o.tls.Key, "tls-key", "", "file of the TLS private key (PEM)")
	f.StringVar(&o.tls.ClientCA, "tls-client-ca", "", "file of the certificates (PEM) that client certificates must come from")
	o.radiusFlags(f)
	o.watchFlags(f)
	o.foreign.flags(f)
	complete(cmd, "log-format", "text", "json")
	f.StringArrayVar(&o.proxies, "trusted-proxy", nil, "address or network of a proxy whose X-Forwarded-For and X-Forwarded-Proto count, or \"unix\" for peers on a Unix socket; may be repeated")
	f.IntVar(&o.limit, "limit", defaultLimit, fmt.Sprintf("validations a second from one address, %d times as many from this machine; 0: no limit", loopbackShare))
	f.IntVar(&o.clientLimit, "client-limit", 0, "validations a second of one relying server, from wherever it asks; 0: no limit")
	f.DurationVar(&o.drain, "drain", 0, "after the signal to stop, go on answering for so long while /readyz says no")
	f.StringVar(&o.spent, "accepted-log", "", "file, of this server alone and on another disk than the store's, that is told what was accepted before it is answered; for: store restore")
	f.BoolVar(&o.layouts, "accept-layouts", false, "accept one-time passwords that another keyboard layout or an input method changed")
	return cmd
}

// gcPercent is how much a server's memory may grow until garbage is collected, unless the variable GOGC says otherwise: there is little
// of it, and collecting at 100 costs a tenth of the work of a validation.
const gcPercent = 400

func runServe(ctx context.Context, a *app, o serveOptions) (err error) {
	log, err := o.logger(a.stderr)
	if err != nil {
		return err
	}
	if a.harden != nil {
		if err := a.harden(); err != nil {
			log.Warn("a crash may write memory to a disk", "error", err)
		}
	}
	s, err := a.prepare(ctx, log, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.st.Close()) }()
	defer s.wait()
	defer s.sockets.Close()
	s.work(ctx)
	h, err := s.handler()
	if err != nil {
		return err
	}
	list, err := s.entrances(ctx)
	if err != nil {
		return err
	}
	if err := s.checklist(ctx); err != nil {
		return err
	}
	s.announce(list)
	if a.getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	server := front.New(front.Config{Handler: h, Most: places(front.FileLimit()), Free: s.trusted.Trusts, Log: log, Now: a.now})
	s.watch.metrics.Gauge("tokendesk_connections", "Open connections.", func() float64 { return float64(server.Open()) })
	return s.serveUntil(ctx, server, list)
}

// prepare reads the flags, the files and the store. The caller closes the store.
func (a *app) prepare(ctx context.Context, log *slog.Logger, o serveOptions) (*serving, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	proxies, err := caller.ParseProxies(o.proxies)
	if err != nil {
		return nil, usagef("--trusted-proxy: %s", oneLine(err))
	}
	certificates, err := o.certificates(a.now, log)
	if err != nil {
		return nil, err
	}
	sockets, err := front.Inherit(a.getenv, os.Getpid())
	if err != nil {
		return nil, err
	}
	st, err := a.openStore(ctx)
	if err == nil && o.spent != "" {
		if err = st.LogSpent(ctx, o.spent); err != nil {
			err = errors.Join(err, st.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	s := a.newServing(st, log, o)
	s.trusted, s.certificates, s.sockets, s.manager = proxies, certificates, sockets, front.FindManager(a.getenv, os.Getpid())
	if err := s.newWatch(); err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return s, nil
}

// check refuses what no serve can do.
func (o serveOptions) check() error {
	switch {
	case !o.role.known():
		return usagef("--role is all, validate or ksm")
	case o.role == roleKSM && len(o.radius) > 0:
		return usagef("--radius is nothing for --role ksm, which decides about nobody")
	case o.limit < 0, o.clientLimit < 0:
		return usagef("a limit is not below 0")
	case o.drain < 0:
		return usagef("--drain is not below 0")
	case (o.tls.Cert == "") != (o.tls.Key == ""):
		return usagef("TLS needs both --tls-cert and --tls-key, a certificate and its key")
	case o.tls.ClientCA != "" && o.tls.Cert == "":
		return usagef("--tls-client-ca needs --tls-cert and --tls-key")
	}
	return o.foreign.check(o.role)
}

// certificates are nil without TLS.
func (o serveOptions) certificates(now func() time.Time, log *slog.Logger) (*front.Certificates, error) {
	if o.tls.Cert == "" {
		return nil, nil
	}
	c, err := front.LoadCertificates(o.tls, now, log)
	if err != nil {
		return nil, usagef("TLS: %s", oneLine(err))
	}
	return c, nil
}

// work starts what a server does by itself, beside answering.
func (s *serving) work(ctx context.Context) {
	hangups, stop := s.hangups() // from now on
	s.after(stop)
	s.beside("tls", func(ctx context.Context) error {
		s.reloading(ctx, hangups)
		return nil
	})
	if s.manager.Watchdog > 0 {
		s.beside("watchdog", s.watchdog)
	}
	if s.role == roleKSM {
		return
	}
	s.after(s.sweeping(ctx, s.desk.Sweep, s.log))
	if s.role == roleAll {
		settle, settled := s.settling(ctx, s.desk, s.log)
		s.settle = settle
		s.after(settled)
	}
}

// reloading looks at the TLS files. SIGHUP never ends the server, also where there are none.
func (s *serving) reloading(ctx context.Context, hangups <-chan os.Signal) {
	if c := s.certificates; c != nil {
		t := time.NewTicker(reloadEvery)
		defer t.Stop()
		c.Watch(ctx, t.C, hangups)
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			s.log.Info("SIGHUP: without TLS there is nothing to read again")
		}
	}
}
