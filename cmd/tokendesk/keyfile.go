package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
)

func newKeyfileCmd(a *app) *cobra.Command {
	return group("keyfile", "Hand secrets to other servers, and take them in", newKeyfileExportCmd(a), newKeyfileImportCmd(a), newKeyfileFormatsCmd(a))
}

// formatRow is a server and the format that it reads, or a format by itself.
type formatRow struct {
	For    string `json:"for,omitempty"`
	Format string `json:"format"`
	Tried  bool   `json:"tried"` // that server's importer was run on such a file
	Why    string `json:"why,omitempty"`
}

func newKeyfileFormatsCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "formats", Short: "List the servers and the formats they read", Args: args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			var rows []formatRow
			served := map[string]bool{}
			for _, t := range codecs.Targets() {
				rows = append(rows, formatRow{t.Name, t.Codec.Name(), t.Tried, t.Why})
				served[t.Codec.Name()] = true
			}
			for _, name := range codecs.Names() {
				if !served[name] {
					rows = append(rows, formatRow{Format: name})
				}
			}
			return list(a, "formats", rows, []column[formatRow]{
				{"For", func(r formatRow) string { return r.For }},
				{"Format", func(r formatRow) string { return r.Format }},
				{"Tried", func(r formatRow) string { return yesNo(r.Tried) }},
				{"Remark", func(r formatRow) string { return r.Why }},
			})
		},
	}
}

// destination is where an export goes: a format, and the server that reads it if one was named.
type destination struct {
	codec  keyfile.Codec
	target *codecs.Target
}

func (d destination) loss(r keyfile.Record) []keyfile.Loss {
	if d.target != nil {
		return d.target.Loss(r)
	}
	return d.codec.Loss(r)
}

func (d destination) name() string {
	if d.target != nil {
		return d.target.Name
	}
	return d.codec.Name()
}

// realmServer alone reads OATH CSV version 2; LinOTP takes user names for serials. Source: reference key-files.md §4.2, §5.
const realmServer = "privacyidea"

// withRealm makes an OATH CSV of version 2, which carries the owners.
func (d destination) withRealm(realm, resolver string) (destination, error) {
	if realm == "" && resolver == "" {
		return d, nil
	}
	if _, ok := d.codec.(oathcsv.Codec); !ok || realm == "" {
		return d, usagef("--realm, with or without --resolver, goes with the format oath-csv")
	}
	if d.target != nil && d.target.Name != realmServer {
		return d, usagef("%s does not read OATH CSV version 2, which --realm writes", d.target.Name).
			hint("leave --realm out, or export --for %s", realmServer)
	}
	d.codec = oathcsv.Codec{Realm: realm, Resolver: resolver}
	if d.target != nil {
		t := *d.target
		t.Codec = d.codec
		d.target = &t
	}
	return d, nil
}

// chooseDestination reads --for and --format. Both may be given when the server reads that format.
func chooseDestination(server, format string) (destination, error) {
	var d destination
	if server == "" && format == "" {
		return d, usagef("--for is missing: the server that shall read the file").hint("it is one of: %s", strings.Join(targetNames(), ", "))
	}
	if server != "" {
		t, ok := codecs.TargetByName(server)
		if !ok {
			return d, usagef("--for %s is unknown", printable(server)).hint("it is one of: %s", strings.Join(targetNames(), ", "))
		}
		d = destination{t.Codec, &t}
	}
	if format == "" {
		return d, nil
	}
	c, ok := codecs.ByName(format)
	if !ok {
		return d, usagef("--format %s is unknown", printable(format)).hint("it is one of: %s", strings.Join(codecs.Names(), ", "))
	}
	if d.target != nil && c.Name() != d.codec.Name() {
		return d, usagef("%s is given %s, not %s", d.target.Name, d.codec.Name(), c.Name()).hint("leave one of --for and --format out")
	}
	d.codec = c
	return d, nil
}

func targetNames() []string {
	var names []string
	for _, t := range codecs.Targets() {
		names = append(names, t.Name)
	}
	return names
}

// tokenName is how the loss report calls a record.
func tokenName(r keyfile.Record) string {
	if r.Slot != 0 {
		return fmt.Sprintf("%s, slot %d", r.Name(), r.Slot)
	}
	return r.Name()
}
