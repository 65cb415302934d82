package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/validate/caller"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	role             serveRole
	listen           string
	tlsCert, tlsFile string
	proxies          []string
	limit            int  // requests a second from one address; 0: no limit
	layouts          bool // accept OTPs that other keyboard layouts changed
}

// Bounds of the connections. A validation request is one line of at most a few hundred characters. writeTimeout runs from the
// end of the head: the body may take readTimeout, wsapi's patience is 8 s, and the answer needs its own.
const (
	headTimeout    = 5 * time.Second
	readTimeout    = 10 * time.Second // head and body
	writeTimeout   = 25 * time.Second
	idleTimeout    = time.Minute
	drainTimeout   = 20 * time.Second // the patience of package api, twice: what is done after the answer has its own
	maxHeaderSize  = 16 << 10         // bytes
	maxConnections = 1000             // at once; more wait
)

func newServeCmd(a *app) *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use: "serve", Short: "Answer relying servers (Yubico validation protocol 2.0, JSON) and the tools of staff", Args: args(0, 0, ""),
		Long: `Answer validation requests of relying servers: by the Yubico validation protocol 2.0 under /wsapi/2.0/verify, as JSON under
/api/v1/verify, and as plugins of privacyIDEA send them under /validate/check. Operators have the rest of /api/v1/ with
their API tokens (operator add), and the helpdesk's pages under /console/ in a browser. Under /enroll/ persons set up an
app. Any number of servers may run on one store. Each request is one line of the log, without one-time passwords. An
address that asks more often than --limit is answered BACKEND_ERROR, or HTTP status 429.

With --accept-layouts, what a key typed on any of some 570 keyboard layouts, with Caps Lock, or through an input method is
read back; a text counts only if it decrypts and its private ID is right.

Beyond this machine, requests should travel by TLS: give --tls-cert and --tls-key, or put a proxy in front.`,
		Example: "  tokendesk serve\n  tokendesk serve --listen 0.0.0.0:8443 --tls-cert cert.pem --tls-key key.pem\n  curl http://127.0.0.1:8086/healthz",
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), a, o) },
	}
	f := cmd.Flags()
	f.StringVar((*string)(&o.role), "role", string(roleAll), "all; validate: only what relying servers ask; ksm: only decrypt for another validation server")
	complete(cmd, "role", string(roleAll), string(roleValidate), string(roleKSM))
	f.StringVar(&o.listen, "listen", "127.0.0.1:8086", "address and port")
	f.StringVar(&o.tlsCert, "tls-cert", "", "file of the TLS certificate chain (PEM)")
	f.StringVar(&o.tlsFile, "tls-key", "", "file of the TLS private key (PEM)")
	f.StringArrayVar(&o.proxies, "trusted-proxy", nil, "address or network of a proxy whose X-Forwarded-For and X-Forwarded-Proto count, or \"unix\" for peers on a Unix socket; may be repeated")
	f.IntVar(&o.limit, "limit", defaultLimit, fmt.Sprintf("validations a second from one address, %d times as many from this machine; 0: no limit", loopbackShare))
	f.BoolVar(&o.layouts, "accept-layouts", false, "accept one-time passwords that another keyboard layout or an input method changed")
	return cmd
}

func runServe(ctx context.Context, a *app, o serveOptions) (err error) {
	if err := o.check(); err != nil {
		return err
	}
	proxies, err := caller.ParseProxies(o.proxies)
	if err != nil {
		return usagef("--trusted-proxy: %s", oneLine(err))
	}
	config, err := o.tlsConfig()
	if err != nil {
		return err
	}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	log := slog.New(slog.NewTextHandler(a.stderr, nil))
	l, err := a.listenHTTP(ctx, o, config, log)
	if err != nil {
		return err
	}
	s := a.newServing(st, log, o)
	s.trusted = proxies
	defer s.wait()
	s.work(ctx)
	h, err := s.handler()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	server := newServer(h)
	server.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
	return s.serveUntil(ctx, server, l)
}

// check refuses what no serve can do.
func (o serveOptions) check() error {
	switch {
	case !o.role.known():
		return usagef("--role is all, validate or ksm")
	case o.limit < 0:
		return usagef("--limit is not below 0")
	}
	return nil
}

// tlsConfig is nil without a certificate.
func (o serveOptions) tlsConfig() (*tls.Config, error) {
	if o.tlsCert == "" && o.tlsFile == "" {
		return nil, nil
	}
	pair, err := tls.LoadX509KeyPair(o.tlsCert, o.tlsFile)
	if err != nil {
		return nil, usagef("TLS needs both --tls-cert and --tls-key, a certificate and its key: %s", oneLine(err))
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// listenHTTP opens the socket and says where it is.
func (a *app) listenHTTP(ctx context.Context, o serveOptions, config *tls.Config, log *slog.Logger) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, listenProblem(err, o.listen)
	}
	scheme := "http"
	l = newLimitListener(l, maxConnections)
	if config != nil {
		l, scheme = tls.NewListener(l, config), "https"
	}
	if addr, ok := l.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() && config == nil {
		log.Warn("reachable from other machines without TLS", "address", l.Addr().String())
	}
	log.Info("serving", "url", scheme+"://"+l.Addr().String()+"/wsapi/2.0/verify")
	if a.listening != nil {
		a.listening(l.Addr())
	}
	return l, nil
}

// work starts what a server does by itself, beside answering.
func (s *serving) work(ctx context.Context) {
	if s.role == roleKSM {
		return
	}
	s.after(s.sweeping(ctx, s.desk.Sweep, s.log))
	settle, settled := s.settling(ctx, s.desk, s.log)
	s.settle = settle
	s.after(settled)
}

// newServer bounds what one connection may cost.
func newServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: maxHeaderSize,
	}
}

// serveUntil serves until ctx ends, then lets requests under way finish.
func (s *serving) serveUntil(ctx context.Context, server *http.Server, l net.Listener) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed, ended := s.runServices(ctx)
	closed := make(chan error, 1)
	go func() { closed <- server.Serve(l) }()
	var err error
	select {
	case err = <-closed:
	case <-failed: // ended tells
	case <-ctx.Done():
	}
	stop()
	close(s.draining)
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	err = errors.Join(err, server.Shutdown(drain), ended())
	s.log.Info("stopped")
	return err
}

func listenProblem(err error, address string) error {
	p := problemf(exitError, "cannot listen on %s: %s", address, oneLine(errors.Unwrap(err)))
	if errors.Unwrap(err) == nil {
		p.line = oneLine(err)
	}
	return p.hint("choose another address or port: --listen 127.0.0.1:PORT")
}
