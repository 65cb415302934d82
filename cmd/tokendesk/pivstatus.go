package main

import (
	"crypto/x509"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/piv"
	"github.com/tokendesk/tokendesk/provision/token"
)

// pivTold is what piv status shows.
type pivTold struct {
	Serial     token.Serial  `json:"serial"`
	Firmware   string        `json:"firmware"`
	PIN        pivTries      `json:"pin"`
	PUK        pivTries      `json:"puk"`
	Management pivManagement `json:"management_key"`
	CHUID      bool          `json:"chuid"`
	CCC        bool          `json:"ccc"`
	Kept       []string      `json:"kept"` // in the store: names of secrets, never the secrets
	Slots      []pivSlot     `json:"slots"`
	handedOn
}

// pivTries is what a key tells of its PIN or PUK.
type pivTries struct {
	Left    *int   `json:"tries_left,omitempty"` // nil: it does not tell
	Total   int    `json:"tries,omitempty"`
	Default string `json:"default"` // "yes", "no" or "unknown"
}

type pivManagement struct {
	Algorithm string `json:"algorithm"`
	Default   string `json:"default"`
	Touch     bool   `json:"touch"`
	OnCard    bool   `json:"on_card"` // another program keeps it there
}

// pivSlot is a slot with something in it.
type pivSlot struct {
	Slot        string          `json:"slot"`
	Name        string          `json:"name"`
	Key         string          `json:"key"` // "yes", "no" or "unknown"
	Algorithm   string          `json:"algorithm,omitempty"`
	PINPolicy   string          `json:"pin_policy,omitempty"`
	TouchPolicy string          `json:"touch_policy,omitempty"`
	Generated   string          `json:"generated"` // on the card: "yes", "no" or "unknown"
	Certificate *pivCertificate `json:"certificate,omitempty"`
	Unreadable  bool            `json:"unreadable_certificate,omitempty"`
}

type pivCertificate struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	NotAfter time.Time `json:"not_after"`
	SHA256   string    `json:"sha256"`
}

func answerText(a piv.Answer) string {
	return map[piv.Answer]string{piv.Yes: "yes", piv.No: "no", piv.Unknown: "unknown"}[a]
}

func triesOf(r piv.Reference) pivTries {
	t := pivTries{Total: r.Total, Default: answerText(r.Default)}
	if r.Left >= 0 {
		t.Left = &r.Left
	}
	return t
}

func (t pivTries) text() string {
	var parts []string
	switch {
	case t.Left == nil:
		parts = append(parts, "tries not told")
	case *t.Left == 0:
		parts = append(parts, "blocked")
	case t.Total > 0:
		parts = append(parts, fmt.Sprintf("%d of %d tries left", *t.Left, t.Total))
	default:
		parts = append(parts, fmt.Sprintf("%s left", strings.Replace(count(*t.Left, "trie"), "1 trie", "1 try", 1)))
	}
	if t.Default == "yes" {
		parts = append(parts, "as it was new")
	}
	return strings.Join(parts, ", ")
}

func (m pivManagement) text() string {
	text := m.Algorithm
	if m.Default == "yes" {
		text += ", as it was new"
	}
	if m.Touch {
		text += ", wants a touch"
	}
	if m.OnCard {
		text += ", kept on the key by another program"
	}
	return text
}

func certificateOf(c *x509.Certificate) *pivCertificate {
	if c == nil {
		return nil
	}
	return &pivCertificate{c.Subject.String(), c.Issuer.String(), c.NotAfter.UTC(), sumOf(c.Raw)}
}

func pivSlotOf(k piv.KeyFacts) pivSlot {
	s := pivSlot{
		Slot: k.Slot.String(), Name: k.Slot.Name(), Key: answerText(k.Key), Generated: answerText(k.Generated),
		Certificate: certificateOf(k.Certificate), Unreadable: k.Object && k.Certificate == nil,
	}
	if k.Algorithm != 0 {
		s.Algorithm = k.Algorithm.String()
	}
	if k.PIN != 0 {
		s.PINPolicy = k.PIN.String()
	}
	if k.Touch != 0 {
		s.TouchPolicy = k.Touch.String()
	}
	return s
}

func pivToldOf(f piv.Facts, kept []token.EscrowKind) pivTold {
	t := pivTold{
		Serial: f.Serial, Firmware: f.Version.String(), PIN: triesOf(f.PIN), PUK: triesOf(f.PUK), CHUID: f.CHUID, CCC: f.CCC,
		Management: pivManagement{f.Management.Algorithm.String(), answerText(f.Management.Default), f.Management.Touch, f.OnCard},
		Kept:       []string{}, Slots: []pivSlot{},
	}
	for _, k := range []token.EscrowKind{token.PIVPIN, token.PIVPUK, token.PIVManagementKey} {
		if slices.Contains(kept, k) {
			t.Kept = append(t.Kept, escrowName(k))
		}
	}
	for _, k := range f.Keys {
		t.Slots = append(t.Slots, pivSlotOf(k))
	}
	return t
}

func newPIVStatusCmd(a *app) *cobra.Command {
	var o pivOptions
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the PIV application says about itself, and what the store keeps for it", Args: args(0, 0, ""),
		Long: `Show PIN and PUK (tries left, and whether they are those of a new key), the management key's cipher, every slot with a key or a
certificate, and which secrets the store keeps. It needs no PIN and uses up no try.`,
		Example: "  tokendesk piv status\n  tokendesk piv status --serial 12345678 -o json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withPIV(cmd.Context(), o, func(s *pivSession) error {
				kept, err := s.st.Escrowed(cmd.Context(), s.facts.Serial)
				if err != nil {
					return err
				}
				return a.showPIV(pivToldOf(s.facts, kept))
			})
		},
	}
	o.flags(cmd, a)
	return cmd
}

// showPIV: comma-separated values are those of the slots alone.
func (a *app) showPIV(t pivTold) error {
	if a.format == "json" {
		return writeJSON(a.stdout, "piv", t)
	}
	if a.format == "table" {
		err := show(a, "piv", t, []column[pivTold]{
			{"Serial", func(t pivTold) string { return t.Serial.String() }},
			{"Firmware", func(t pivTold) string { return t.Firmware }},
			{"PIN", func(t pivTold) string { return t.PIN.text() }},
			{"PUK", func(t pivTold) string { return t.PUK.text() }},
			{"Management key", func(t pivTold) string { return t.Management.text() }},
			{"Identifiers", func(t pivTold) string { return identifiers(t) }},
			{"In the store", func(t pivTold) string { return strings.Join(t.Kept, ", ") }},
		})
		if err != nil || len(t.Slots) == 0 {
			return err
		}
		if _, err := fmt.Fprintln(a.stdout); err != nil {
			return err
		}
	}
	return list(a, "slots", t.Slots, pivSlotColumns(a))
}

func identifiers(t pivTold) string {
	switch {
	case t.CHUID && t.CCC:
		return "CHUID, CCC"
	case t.CHUID:
		return "CHUID; no CCC"
	case t.CCC:
		return "CCC; no CHUID"
	}
	return "none"
}

func pivSlotColumns(a *app) []column[pivSlot] {
	return []column[pivSlot]{
		{"Slot", func(s pivSlot) string { return s.Slot }},
		{"For", func(s pivSlot) string { return s.Name }},
		{"Key", func(s pivSlot) string {
			if s.Key == "yes" && s.Algorithm != "" {
				return s.Algorithm
			}
			return s.Key
		}},
		{"Made here", func(s pivSlot) string { return s.Generated }},
		{"PIN", func(s pivSlot) string { return s.PINPolicy }},
		{"Touch", func(s pivSlot) string { return s.TouchPolicy }},
		{"Certificate for", func(s pivSlot) string {
			switch {
			case s.Unreadable:
				return "not readable"
			case s.Certificate == nil:
				return ""
			}
			return s.Certificate.Subject
		}},
		{"By", func(s pivSlot) string {
			if s.Certificate == nil {
				return ""
			}
			return s.Certificate.Issuer
		}},
		{"Until", func(s pivSlot) string {
			if s.Certificate == nil {
				return ""
			}
			return a.when(s.Certificate.NotAfter)
		}},
	}
}

// parseTries reads a number of tries from a flag; 0: it was not given.
func parseTries(flag, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 255 {
		return 0, usagef("%s is 1 to 255", flag)
	}
	return n, nil
}
