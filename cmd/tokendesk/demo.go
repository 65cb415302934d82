package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/hwtest/vkey"
	"github.com/tokendesk/tokendesk/hwtest/vkey/oathapplet"
	"github.com/tokendesk/tokendesk/hwtest/vkey/pivapplet"
)

// demoSerial and demoSlot are the virtual key and the slot that the demo writes.
const (
	demoSerial = 7654321
	demoSlot   = 2
)

func newDemoCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "demo", Short: "Show the whole sequence on a virtual YubiKey", Args: args(0, 0, ""),
		Long: `Show the whole sequence on a virtual YubiKey in this process: a store, a key written and proven by a touch, a key file, a
validation server that accepts a one-time password once, a lost key blocked and brought back, the audit chain.

It is the program itself that runs, with a temporary store. No real key is touched, and nothing is left behind.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDemo(cmd.Context(), a) },
	}
}

// demo is one run: the program's environment with a virtual key in it.
type demo struct {
	*app
	dir string
	key *vkey.Key
}

func runDemo(ctx context.Context, a *app) (err error) {
	dir, err := os.MkdirTemp("", "tokendesk-demo")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	key := vkey.New(vkey.YubiKey543, vkey.Options{Serial: demoSerial, Now: a.now})
	oathapplet.Install(key, oathapplet.Options{})
	pivapplet.Install(key, pivapplet.Options{Now: a.now})
	key.OnTouchWait(func() bool { return true })
	e := *a.env
	e.bus, e.virtual, e.stdinTTY = virtualBus{key, demoSlot}, true, false
	e.dataDir = filepath.Join(dir, "store")
	e.notify = func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithCancel(ctx) }
	screen := &lockedWriter{w: e.stdout} // the server talks beside
	e.stdout, e.stderr = screen, screen  // a person reads both, in order
	d := &demo{&app{env: &e}, dir, key}
	return d.play(ctx)
}

// step is one call of the program.
type step struct {
	say   string
	otp   bool // a fresh one-time password on standard input
	want  exitCode
	words []string
}

func (d *demo) play(ctx context.Context) error {
	file := filepath.Join(d.dir, "keys.csv")
	if err := d.steps(ctx,
		step{say: "A store, with the key that seals its secrets and the key that signs its audit chain.", words: []string{"init"}},
		step{say: "A YubiKey is attached.", words: []string{"device", "list"}},
		step{say: "Who gets it.", words: []string{"person", "add", "ada", "--name", "Ada Lovelace"}},
		step{say: "A fresh key goes into slot 2: sealed in the store first, then written, read back, and proven by a touch.",
			words: []string{"provision", "--slot", "2", "--to", "ada"}},
		step{say: "The secret is handed to another server, too.",
			words: []string{"keyfile", "export", "--for", "privacyidea", "--plaintext", "--out", file}},
	); err != nil {
		return err
	}
	id, err := d.addClient(ctx)
	if err != nil {
		return err
	}
	if err := d.serving(ctx, id); err != nil {
		return err
	}
	return d.steps(ctx,
		step{say: "A one-time password can be checked by hand as well.", otp: true, words: []string{"verify"}},
		step{say: "Ada's key is lost.", words: []string{"token", "block", "ada", "--reason", "lost"}},
		step{say: "Whoever finds it touches it in vain.", otp: true, want: exitVerify, words: []string{"verify"}},
		step{say: "It was found. A fresh one-time password brings it back.", otp: true, words: []string{"token", "restore", "ada"}},
		step{say: "Everything that was done is in the audit chain, and no event was changed.", words: []string{"audit", "verify"}},
	)
}

func (d *demo) steps(ctx context.Context, all ...step) error {
	for _, s := range all {
		d.stdin = strings.NewReader("")
		if s.otp {
			d.stdin = strings.NewReader(d.press() + "\n")
		}
		if err := d.call(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// call runs the program once and wants its exit code.
func (d *demo) call(ctx context.Context, s step) error {
	d.screen(s.say, "$ tokendesk "+quoted(s.words))
	if got := run(ctx, d.env, s.words); got != s.want {
		if err := ctx.Err(); err != nil {
			return err
		}
		return problemf(exitError, "the demo stopped: %q ended with exit code %d, not %d", strings.Join(s.words, " "), got, s.want)
	}
	if s.want != exitDone {
		fmt.Fprintf(d.stdout, "(exit code %d)\n", s.want)
	}
	return nil
}

// quoted is how a person types the words in a shell.
func quoted(words []string) string {
	shown := make([]string, len(words))
	for i, w := range words {
		if shown[i] = w; strings.Contains(w, " ") {
			shown[i] = "'" + w + "'"
		}
	}
	return strings.Join(shown, " ")
}

// lockedWriter lets several goroutines write whole lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// screen heads what follows. Every one says that the key is virtual.
func (d *demo) screen(say, command string) {
	fmt.Fprintf(d.stdout, "\n── VIRTUAL KEY ── %s\n%s\n", say, command)
}

// press touches the key while no program holds it.
func (d *demo) press() string {
	d.key.Touch(demoSlot)
	return strings.TrimSpace(d.key.Typed())
}

// addClient registers a relying server, and reads its API key as its administrator would.
func (d *demo) addClient(ctx context.Context) (relying, error) {
	var out bytes.Buffer
	stdout := d.stdout
	d.stdout = io.MultiWriter(stdout, &out)
	defer func() { d.stdout = stdout }()
	err := d.call(ctx, step{say: "A relying server gets an API key.", words: []string{"client", "add", "mail.example.org", "-o", "json"}})
	if err != nil {
		return relying{}, err
	}
	text := out.Bytes()[bytes.IndexByte(out.Bytes(), '{'):]
	var answer struct{ Client newClient }
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil {
		return relying{}, err
	}
	return relying{answer.Client.ID, answer.Client.Key}, nil
}

// serving runs the validation server and asks it twice about one one-time password.
func (d *demo) serving(ctx context.Context, c relying) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	address := make(chan net.Addr, 1)
	d.listening = func(a net.Addr) { address <- a }
	ended := make(chan error, 1)
	go func() {
		ended <- d.call(ctx, step{say: "The validation server, on a port of its own.", words: []string{"serve", "--listen", "127.0.0.1:0"}})
	}()
	var at net.Addr
	select {
	case at = <-address:
	case err := <-ended:
		return err
	}
	err := d.askTwice(ctx, c, at)
	stop()
	return errors.Join(err, <-ended)
}

func (d *demo) askTwice(ctx context.Context, c relying, at net.Addr) error {
	otp := d.press()
	for _, s := range []struct{ say, nonce, want string }{
		{"The key is touched; the relying server sends what it typed, signed with its API key.", "firstnonce0000000001", "OK"},
		{"The same one-time password again.", "othernonce0000000002", "REPLAYED_OTP"},
	} {
		d.screen(s.say, fmt.Sprintf("GET http://%s/wsapi/2.0/verify?id=%d&nonce=%s&otp=%s…&h=…", at, c.id, s.nonce, otp[:12]))
		status, err := c.ask(ctx, at.String(), otp, s.nonce)
		if err != nil {
			return err
		}
		fmt.Fprintf(d.stdout, "status=%s, and the answer's signature is right\n", status)
		if status != s.want {
			return problemf(exitError, "the demo stopped: the server answered %s, not %s", status, s.want)
		}
	}
	return nil
}
