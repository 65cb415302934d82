package main

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate/diagnose"
)

// showChecked prints a check and, if they were asked for, its findings: in JSON as its member, in CSV only them.
func (a *app) showChecked(c checked, explain bool) error {
	if !explain || a.format != "csv" {
		err := show(a, "verification", c, []column[checked]{
			{"Outcome", func(c checked) string { return string(c.Outcome) }},
			{"Reason", func(c checked) string { return string(c.Reason) }},
			{"Kind", func(c checked) string { return c.Kind }},
			{"Public ID", func(c checked) string { return c.PublicID }},
			{"Counters", func(c checked) string { return c.Counters }},
			{"Marks", func(c checked) string { return strings.Join(c.Marks, "; ") }},
		})
		if err != nil || !explain || a.format == "json" {
			return err
		}
	}
	return a.listFindings(c.Findings)
}

// listFindings prints causes with their evidence and what to do.
func (a *app) listFindings(findings []diagnose.Finding) error {
	return list(a, "findings", findings, []column[diagnose.Finding]{
		{"Code", func(f diagnose.Finding) string { return f.Code }},
		{"Cause", func(f diagnose.Finding) string { return f.Title }},
		{"Evidence", func(f diagnose.Finding) string { return f.Evidence }},
		{"To the user", func(f diagnose.Finding) string { return f.User }},
		{"Next", func(f diagnose.Finding) string {
			if f.Action == "" {
				return f.Helper
			}
			return f.Helper + " → " + f.Action
		}},
	})
}

// attempt is a kept refusal as it is shown.
type attempt struct {
	Code     string             `json:"support_code"`
	At       time.Time          `json:"at"`
	Client   int64              `json:"client,omitempty"`
	Source   string             `json:"source,omitempty"`
	Account  string             `json:"account,omitempty"`
	Token    token.ID           `json:"token,omitempty"`
	Findings []diagnose.Finding `json:"findings"`
}

// showAttempt prints what was kept under a support code.
func (a *app) showAttempt(ctx context.Context, d *diagnose.Doctor, spoken string) error {
	code, ok := token.NormaliseSpoken(spoken)
	if !ok || len(code) != token.SupportLen {
		return usagef("a support code has %d letters and digits, such as 7KM4-Q2X9", token.SupportLen)
	}
	kept, err := d.Attempt(ctx, code)
	if errors.Is(err, token.ErrNotFound) {
		return problemf(exitNotFound, "no refusal of the last %d hours has this support code", int(diagnose.KeepTime.Hours())).
			hint("ask for it again: 0, 1, I and O are not in it")
	}
	if err != nil {
		return err
	}
	out := attempt{Code: token.ShowSpoken(kept.Code), At: kept.At, Client: kept.Client, Source: kept.Source, Token: kept.Token, Findings: kept.Findings}
	if kept.Person != nil {
		out.Account = kept.Person.Account
	}
	if a.format == "csv" {
		return a.listFindings(out.Findings)
	}
	err = show(a, "attempt", out, []column[attempt]{
		{"Support code", func(t attempt) string { return t.Code }},
		{"Time", func(t attempt) string { return t.At.Format(time.RFC3339) }},
		{"Client", func(t attempt) string { return nonZero(t.Client) }},
		{"Source", func(t attempt) string { return t.Source }},
		{"Person", func(t attempt) string { return t.Account }},
		{"Token", func(t attempt) string { return nonZero(int64(t.Token)) }},
	})
	if err != nil || a.format == "json" {
		return err
	}
	return a.listFindings(out.Findings)
}

// nonZero is a number, or "" for 0.
func nonZero(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
