package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/appointment"
	"github.com/tokendesk/tokendesk/provision/paper"
	"github.com/tokendesk/tokendesk/provision/profile"
	"github.com/tokendesk/tokendesk/provision/token"
)

// printer makes receipts. Its zero value makes none.
type printer struct {
	press    *paper.Press
	dir      string // "": none
	command  []string
	language string // "": the site's
	template string // of receipts, by its name; "": the usual one
}

func (p printer) on() bool { return p.dir != "" || len(p.command) > 0 }

func (a *app) newPrinter(o deskOptions, by profile.Profile) (printer, error) {
	p := printer{command: strings.Fields(o.printCommand), language: by.Language, template: by.Receipt}
	if o.print != "none" {
		p.dir = o.print
		if err := os.MkdirAll(p.dir, 0o700); err != nil {
			return p, problemf(exitError, "the directory for receipts cannot be made: %s", oneLine(err))
		}
	}
	var err error
	if p.press, err = openPress(o.templates); err != nil {
		return p, err
	}
	if err := p.press.Known(by.Receipt, "", ""); err != nil {
		return p, usagef("profile %s: %s", by.Name, oneLine(err)).hint("the site's templates: --templates DIR")
	}
	return p, nil
}

// printPatience is how long a printer may take before the desk goes on without it.
const printPatience = 20 * time.Second

// receipt prints what the store keeps about the issue.
func (s *station) receipt(ctx context.Context, e appointment.Print) any {
	fail := func(err error) any {
		return appointment.Failed{Job: e.Job, Trouble: appointment.Fault, Why: oneLine(err)}
	}
	ctx, cancel := context.WithTimeout(ctx, printPatience)
	defer cancel()
	r := s.receiptOf(ctx, e.Done)
	papers, err := s.print.print(ctx, r)
	if err != nil {
		return fail(err)
	}
	return appointment.Printed{Job: e.Job, Number: r.Number, Papers: papers}
}

// receiptOf puts the facts of a receipt together.
func (s *station) receiptOf(ctx context.Context, d appointment.Done) paper.Receipt {
	r := paper.Receipt{
		Number: d.Receipt, Language: s.print.language, Template: s.print.template, Name: d.Name, Account: d.Account, Replaces: d.Replaced, Issued: d.At.Local(), By: s.a.user,
		Place: s.options.Place, IDCheck: d.Check, Witness: d.Witness, Way: paper.Handed, Pending: d.Pending,
		Token: paper.Subject{
			Model: "YubiKey", Serial: d.Serial, Label: d.Label, PublicID: d.PublicID, Slot: d.Slot, Kind: s.options.Spec.Kind,
		},
	}
	if r.Token.Kind == "" {
		r.Token.Kind = token.YubicoOTP
	}
	switch {
	case d.Shipped:
		r.Way = paper.Shipped
	case d.Stocked:
		r.Way = paper.Stocked
	}
	r.Accounts = d.Cards.Accounts // what this desk has seen itself, if the store does not say it
	for _, x := range d.Steps {
		r.Steps = append(r.Steps, paper.Step{ID: string(x.Step), At: x.At.Local()})
	}
	if kept, err := s.store.ReceiptOf(ctx, d.Token); err == nil {
		r.Number, r.By, r.Token.StockNumber, r.Issued = kept.Ref(), kept.Operator, kept.Stock, kept.At.Local()
		r.Checkpoint = paper.Checkpoint{Seq: kept.Checkpoint, Hash: kept.Hash}
		if st, with := s.store.beside(), r; st != nil {
			if with.Accounts = nil; addBeside(ctx, st, kept, &with) == nil {
				r = with
			}
		}
	}
	return r
}

// print writes text and PDF into the directory, and gives the PDF to the command. It says what it wrote.
func (p printer) print(ctx context.Context, r paper.Receipt) ([]string, error) {
	var text, pdf bytes.Buffer
	if err := p.press.PDF(&pdf, r, ""); err != nil {
		return nil, err
	}
	var papers []string
	if p.dir != "" {
		if err := p.press.Text(&text, r, ""); err != nil {
			return nil, err
		}
		name := p.sheet(r, text.Bytes())
		for suffix, b := range map[string][]byte{".txt": text.Bytes(), ".pdf": pdf.Bytes()} {
			if err := writeReceipt(name+suffix, b); err != nil {
				return nil, err
			}
		}
		papers = append(papers, name+".pdf")
	}
	if len(p.command) > 0 {
		cmd := exec.CommandContext(ctx, p.command[0], p.command[1:]...)
		cmd.Stdin = &pdf
		if said, err := cmd.CombinedOutput(); err != nil {
			return papers, fmt.Errorf("%s: %w: %s", p.command[0], err, printable(string(said[:min(len(said), 200)])))
		}
		papers = append(papers, p.command[0])
	}
	return papers, nil
}

// sheet is the path of a receipt without its suffix: by its number, or the next sheet where that one was made before all accounts
// and certificates were on the key.
func (p printer) sheet(r paper.Receipt, text []byte) string {
	first, on := filepath.Join(p.dir, receiptFile(r)), slices.Clone(r.Accounts)
	for _, c := range r.Certificates {
		on = append(on, c.Subject)
	}
	for name, n := first, 2; ; n++ {
		made, err := os.ReadFile(name + ".txt")
		lacks := func(name string) bool {
			return bytes.Contains(unbroken(text), unbroken([]byte(name))) && !bytes.Contains(unbroken(made), unbroken([]byte(name)))
		}
		if err != nil || !slices.ContainsFunc(on, lacks) {
			return name
		}
		name = fmt.Sprintf("%s-%d", first, n)
	}
}

// unbroken is text without spaces and ends of lines: what is long is broken anywhere.
func unbroken(text []byte) []byte { return bytes.Join(bytes.Fields(text), nil) }

// writeReceipt never overwrites: a receipt has one number.
func writeReceipt(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil // printed before the interruption
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// receiptFile is the name of a receipt's files.
func receiptFile(r paper.Receipt) string {
	name := r.Number
	if name == "" {
		name = "serial-" + r.Token.Serial.String() + r.Issued.Format("-20060102-150405")
	}
	return strings.Map(func(c rune) rune {
		if c == '-' || c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			return c
		}
		return '_'
	}, name)
}
