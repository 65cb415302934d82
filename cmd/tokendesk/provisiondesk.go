package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision"
	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// deskOptions are the flags of provision desk.
type deskOptions struct {
	provisionOptions
	profile      string
	place        string
	kind         string
	print        string
	printCommand string
	templates    string
	appointments string
	date         string
	offline      bool
	dir          string // of the station
	letters      string // directory for letters with PINs
	requests     string // directory for certificate requests
	video        bool
	noColour     bool
}

func newProvisionDeskCmd(a *app) *cobra.Command {
	var o deskOptions
	cmd := &cobra.Command{
		Use: "desk", Short: "Issue keys at appointments, one person after the other", Args: args(0, 0, ""),
		Long: `Issue keys at enrolment appointments, one person after the other, on a full screen.

H-1 person: type letters, or scan the card. H-2 identity: press 1 to 5; no number is asked. H-3 insert a key. H-4 it is written.
H-5 the person touches it. H-6 it is bound. H-7 the receipt is printed. H-8 pull the key out: the next person.

A profile may put accounts and PIV on the key, too (oath, piv): they come after H-6, on the key that stays in, and what fails there takes
nothing back: the key works, and the command that finishes it is shown.

A key that was written before (from stock) is not written again: one touch binds it, also one that types into this terminal.
A key that was pulled out too early is finished when it comes back, with the secret that was sealed for it.

Without a terminal, with TERM=dumb or with -o json, events are lines of standard output and acts lines of standard input: an
account, then an identity check (after "known" the name of a second operator), "second" or "replace SERIAL", "yes" or "no" ("finish" for a key of theirs that lacks something), "next", "cancel", "give-up", "quit", or a
one-time password of a key from stock.`,
		Example: `  tokendesk provision desk --slot 2 --place 'room 12' --print receipts
  tokendesk provision desk --profile staff --appointments today.csv
  printf 'ada\nstaff-card\n' | tokendesk provision desk --slot 2 -o json`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := dirAlone(cmd, o.offline); err != nil {
				return err
			}
			return a.runDesk(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.specFlags(cmd)
	f.StringVar(&o.profile, "profile", "", "write what this profile says, instead of the flags of the slot")
	f.StringVar(&o.place, "place", "", "where this desk is; kept with each issue and printed on receipts")
	f.StringVar(&o.kind, "kind", "key", "key; for apps see: tokendesk app enroll")
	f.StringVar(&o.print, "print", "none", "directory for receipts, as text and PDF, or none")
	f.StringVar(&o.printCommand, "print-command", "", "program that prints receipts: it is given the PDF on its standard input")
	f.StringVar(&o.letters, "pin-letters", "", "directory for the letters with the PINs of a profile with piv, as text: print, hand over and delete them")
	f.StringVar(&o.requests, "requests", "", "directory for the certificate requests of a profile with piv-csr, one file for each key")
	f.StringVar(&o.templates, "templates", "", "directory with this site's templates of receipts")
	f.StringVar(&o.appointments, "appointments", "", "CSV file with the columns account and time, in the order of the day")
	f.StringVar(&o.date, "date", "", "take only the appointments of this day, such as 2026-11-23")
	f.BoolVar(&o.offline, "offline", false, "work without the store, into this station's journal")
	stationFlag(cmd, a, &o.dir)
	f.BoolVar(&o.video, "video", false, "check identities in video calls and send keys by post: they go out shipped, with a number for the call")
	f.BoolVar(&o.noColour, "no-color", false, "no colours; also NO_COLOR")
	f.StringVar(&o.transport, "transport", string(auto), "way to the key: auto, libusb or hidraw")
	complete(cmd, "transport", string(auto), string(viaLibusb), string(viaHidraw))
	complete(cmd, "kind", "key")
	return cmd
}

// specFlags are the flags of provision that say what is written, and nothing about one key or person.
func (o *provisionOptions) specFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&o.slot, "slot", 0, "slot 1 (short touch) or 2 (long touch)")
	f.StringVar(&o.publicID, "public-id", string(provision.FromSerial), "serial or random")
	f.StringVar(&o.accessCode, "access-code", string(provision.RandomCode), "what guards the slot: random (kept in the store), none, or keep")
	f.StringVar(&o.overwrite, "overwrite", "", "what may be lost: factory or foreign")
	f.StringVar(&o.reason, "reason", "", "why it may be lost; kept in the audit chain")
	o.verify = string(token.ByTouch)
	complete(cmd, "slot", "1", "2")
	complete(cmd, "public-id", string(provision.FromSerial), string(provision.Random))
	complete(cmd, "access-code", string(provision.RandomCode), string(provision.NoCode), string(provision.KeepCode))
	complete(cmd, "overwrite", string(provision.Factory), string(provision.Foreign))
}

// check looks at the flags that need no store.
func (o deskOptions) check(a *app) error {
	switch {
	case o.kind != "key":
		return usagef("--kind key is the only kind of this desk").hint("apps: tokendesk app enroll PERSON")
	case o.video && o.offline:
		return usagef("--video needs the store: it keeps the number of the call")
	case a.format == "csv":
		return usagef("provision desk writes lines of text or, with -o json, of JSON")
	case transport(o.transport) == viaCCID:
		return usagef("a desk holds the keyboard interface, so that no touch types: --transport auto, libusb or hidraw")
	case o.print != "none" && o.print == "":
		return usagef("--print is a directory, or none")
	}
	return transport(o.transport).check()
}

func (a *app) runDesk(ctx context.Context, o deskOptions) error {
	if err := o.check(a); err != nil {
		return err
	}
	next, err := a.planned(ctx, o)
	if err != nil {
		return err
	}
	store, wanted, closeStore, err := a.openEnroller(ctx, o)
	if err != nil {
		return err
	}
	defer closeStore()
	want, title, p, err := a.deskSpec(ctx, store, o)
	if err != nil {
		return err
	}
	cards, err := a.newDeskCards(o, p, store)
	if err != nil {
		return err
	}
	print, err := a.newPrinter(o, p)
	if err != nil {
		return err
	}
	open, err := a.settleIdle(ctx, store)
	if err != nil {
		return err
	}
	a.giveBack()
	if o.place != "" {
		title = o.place + " · " + title
	}
	station := appointment.Station{Spec: want, Operator: a.user, Place: o.place, Video: o.video, Offline: o.offline, Paper: print.on(), Cards: cards != nil}
	l := &deskLoop{state: appointment.New(station, next, a.now()), events: make(chan any, mostEvents)}
	l.station = a.newStation(ctx, store, station, transport(o.transport), print, l.post)
	l.station.intake, l.station.cards = wanted, cards
	if a.deskDrawn() {
		colour := !o.noColour && a.getenv("NO_COLOR") == ""
		err = a.runScreen(ctx, l, newDeskLook(a.stdout, colour, a.mark(title), a.now), open)
	} else {
		err = a.runLines(ctx, l, open)
	}
	a.say("%s issued", count(l.state.Count, "key"))
	for _, line := range l.station.revoke {
		a.say("%s", line)
	}
	cards.sayLeft(a)
	return errors.Join(err, a.sayLeft(context.WithoutCancel(ctx), store, o.offline), unserved(l))
}

// unserved is the last appointment of a script, if it came to no end.
func unserved(l *deskLoop) error {
	s := l.state
	if _, script := l.front.(*deskLines); !script || s.Person == nil || s.Done != nil {
		return nil
	}
	p := problemf(exitRefused, "%s got no key", printable(s.Person.Account))
	if why := cmp.Or(s.Aside(), s.Refused); why != "" {
		p.line += ": " + printable(why)
	}
	return p
}

// deskDrawn reports whether a full screen can be drawn.
func (a *app) deskDrawn() bool {
	return a.stdoutTTY && a.stdinTTY && a.format == "table" && a.getenv("TERM") != "dumb"
}

func (a *app) runLines(ctx context.Context, l *deskLoop, open int) error {
	f := &deskLines{out: a.stdout, json: a.format == "json"}
	l.front = f
	go f.read(a.stdin, func() { l.post(wake{}) }) // left behind when the session ends first
	l.run(ctx, open)
	return f.fail
}

// deskSpec is what each key gets, its name, and the profile that says so, if one does.
func (a *app) deskSpec(ctx context.Context, store enroller, o deskOptions) (want provision.Spec, title string, p profile.Profile, err error) {
	if o.profile != "" {
		if o.slot != 0 {
			return want, "", p, usagef("--profile says what is written: leave --slot out")
		}
		want, p, err = a.profiled(ctx, store, o.profile)
		return want, p.Name, p, err
	}
	want, err = o.provisionOptions.spec()
	if err == nil && want.PublicID == provision.Given {
		err = usagef("--public-id is serial or random: each key needs its own")
	}
	return want, fmt.Sprintf("slot %d", want.Slot), p, err
}

// settleIdle ends what was interrupted and needs no key, and counts the rest.
func (a *app) settleIdle(ctx context.Context, store enroller) (open int, err error) {
	entries, err := store.Open(ctx)
	defer destroyEntries(entries)
	if err != nil {
		return 0, err
	}
	r := provision.Runner{Ledger: store, Rand: a.rand, Now: a.now}
	for _, e := range entries {
		if provision.NeedsDevice(e) {
			if e.Slot != 0 { // of an account it is said at the end
				open++
			}
			continue
		}
		if _, err := r.Settle(ctx, e); err != nil && !errors.Is(err, token.ErrConflict) {
			return open, err
		}
	}
	return open, nil
}

// sayLeft says which keys are half-written at the end.
func (a *app) sayLeft(ctx context.Context, store enroller, offline bool) error {
	resume := "tokendesk provision resume --serial"
	if offline {
		resume = "tokendesk provision resume --offline --serial"
	}
	entries, err := store.Open(ctx)
	defer destroyEntries(entries)
	for _, e := range entries {
		who := "nobody"
		if e.Holder != nil {
			who = e.Holder.Account
		}
		if e.Slot == 0 {
			a.say("key %s, %s: not settled; finish it with the key attached: tokendesk provision resume --serial %s", e.Serial, e.Place(), e.Serial)
			continue
		}
		a.say("key %s is half-written for %s; plug it in at the next session, or: %s %s", e.Serial, printable(who), resume, e.Serial)
	}
	return err
}

// planned are the appointments of a file: a header line with the columns account and time.
func (a *app) planned(ctx context.Context, o deskOptions) ([]appointment.Planned, error) {
	if o.appointments == "" {
		if o.date != "" {
			return nil, usagef("--date chooses from a file of appointments: --appointments FILE")
		}
		return nil, nil
	}
	file, err := os.Open(o.appointments)
	if err != nil {
		return nil, problemf(exitNotFound, "the appointments cannot be read: %s", oneLine(err))
	}
	defer func() { _ = file.Close() }() // read only
	list, err := readPlanned(file, o.date)
	if err != nil {
		return nil, usagef("%s: %s", o.appointments, oneLine(err))
	}
	return list, nil
}

func readPlanned(r io.Reader, date string) (list []appointment.Planned, err error) {
	in := csv.NewReader(r)
	rows, err := in.ReadAll()
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, errors.New("line 1: the header line is missing: account,time")
	}
	account, when := -1, -1
	for i, name := range rows[0] {
		switch strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))) {
		case "account":
			account = i
		case "time":
			when = i
		}
	}
	if account < 0 {
		return nil, errors.New("line 1: the column account is missing")
	}
	for _, row := range rows[1:] {
		p := appointment.Planned{Account: strings.TrimSpace(row[account])}
		if when >= 0 {
			p.Time = strings.TrimSpace(row[when])
		}
		if p.Account == "" || date != "" && !strings.HasPrefix(p.Time, date) {
			continue
		}
		p.Time = strings.TrimSpace(strings.TrimPrefix(p.Time, date))
		list = append(list, p)
	}
	return list, nil
}
