package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/keyfile"
	"github.com/tokendesk/tokendesk/keyfile/codecs"
	"github.com/tokendesk/tokendesk/keyfile/entra"
	"github.com/tokendesk/tokendesk/keyfile/flextemplate"
	"github.com/tokendesk/tokendesk/keyfile/keycloak"
	"github.com/tokendesk/tokendesk/keyfile/nextcloud"
	"github.com/tokendesk/tokendesk/keyfile/oathcsv"
	"github.com/tokendesk/tokendesk/keyfile/pijson"
)

// maxTemplate is the largest file of --template-file, in bytes.
const maxTemplate = 16 << 10

// destinationFlags say what shall read a file that is written.
type destinationFlags struct {
	server, format         string
	template, templateFile string
	realm, resolver        string
	domain                 string
	ifExists               string
	renew                  bool
}

// flags adds them to a command; formatFlag is what it calls --format.
func (o *destinationFlags) flags(cmd *cobra.Command, formatFlag string) {
	f := cmd.Flags()
	f.StringVar(&o.server, "for", "", "server that shall read the file: "+joined(targetNames()))
	f.StringVar(&o.format, formatFlag, "", "format, when no server is named: "+joined(codecs.Names()))
	f.StringVar(&o.template, "template", "", "row of a format of your own, with the Personalization Tool's names: '{serial},{secretKeyTxt}'")
	f.StringVar(&o.templateFile, "template-file", "", "file with such a row")
	f.StringVar(&o.realm, "realm", "", "privacyIDEA realm of the owners: oath-csv becomes version 2, which names them, and pi-json names them")
	f.StringVar(&o.resolver, "resolver", "", "privacyIDEA resolver of the owners")
	f.StringVar(&o.domain, "domain", "", "domain behind accounts without one, for Entra: ada becomes ada@DOMAIN")
	f.StringVar(&o.ifExists, "if-exists", "", "what Keycloak's partial import does about a person who exists: fail, skip or overwrite")
	f.BoolVar(&o.renew, "renew", false, "for Nextcloud: replace tokens that persons have there")
	complete(cmd, "for", targetNames()...)
	complete(cmd, formatFlag, codecs.Names()...)
	complete(cmd, "if-exists", "fail", "skip", "overwrite")
}

// destination is where a file goes: a format, and the server that reads it if one was named.
type destination struct {
	codec  keyfile.Codec
	target *codecs.Target
}

// with is d with options in the format.
func (d destination) with(c keyfile.Codec) destination {
	d.codec = c
	if d.target != nil {
		t := *d.target
		t.Codec = c
		d.target = &t
	}
	return d
}

// loss is what the file loses of r; inside: the format itself encrypts it.
func (d destination) loss(r keyfile.Record, inside bool) []keyfile.Loss {
	switch {
	case d.target == nil:
		return d.codec.Loss(r)
	case inside:
		return d.target.ProtectedLoss(r)
	}
	return d.target.Loss(r)
}

func (d destination) name() string {
	if d.target != nil {
		return d.target.Name
	}
	return d.codec.Name()
}

// reads reports whether the server that was named reads files that are protected so. Without a server nobody knows better.
func (d destination) reads(p codecs.Protection) bool {
	return d.target == nil || d.target.Protect&p != 0
}

// perOwner reports whether a file of the format is one account's.
func (d destination) perOwner() bool {
	p, ok := d.codec.(interface{ PerOwner() bool })
	return ok && p.PerOwner()
}

// destination reads the flags. --for and --format may be given together when the server reads that format.
func (a *app) destination(ctx context.Context, o destinationFlags) (destination, error) {
	d, err := a.chooseDestination(ctx, o)
	if err != nil {
		return d, err
	}
	return d.withOptions(o)
}

func (a *app) chooseDestination(ctx context.Context, o destinationFlags) (d destination, err error) {
	switch {
	case o.template != "" || o.templateFile != "":
		return a.templateDestination(ctx, o)
	case o.server == "" && o.format == "":
		return d, usagef("--for is missing: the server that shall read the file").hint("it is one of: %s", joined(targetNames()))
	}
	if o.server != "" {
		t, ok := codecs.TargetByName(o.server)
		if !ok {
			return d, unknownTarget(o.server)
		}
		d = destination{t.Codec, &t}
	}
	if o.format == "" {
		return d, nil
	}
	c, ok := codecs.ByName(o.format)
	if !ok {
		return d, usagef("there is no format %s to write", printable(o.format)).hint("it is one of: %s", joined(codecs.Names()))
	}
	if d.target == nil {
		return destination{codec: c}, nil
	}
	if c.Name() != d.codec.Name() {
		return d, usagef("%s is given %s, not %s", d.target.Name, d.codec.Name(), c.Name()).hint("leave one of the server and the format out")
	}
	return d, nil
}

// templateDestination is a format of the operator's own. What a server would do with such a file is told.
func (a *app) templateDestination(ctx context.Context, o destinationFlags) (d destination, err error) {
	if o.server != "" || o.format != "" || o.template != "" && o.templateFile != "" {
		return d, usagef("a template is a format by itself: give one of --template, --template-file, a server and a format")
	}
	text := o.template
	if o.templateFile != "" {
		file, err := a.readAll(ctx, o.templateFile, maxTemplate)
		if err != nil {
			return d, err
		}
		text = strings.TrimRight(string(file.Reveal()), "\r\n")
	}
	c, err := flextemplate.Parse(text)
	if err != nil {
		return d, usagef("%s", oneLine(err))
	}
	for _, w := range c.Warnings() {
		a.say("note: %s", w)
	}
	return destination{codec: c}, nil
}

// withOptions puts the options of single formats into the codec, and refuses those that it does not have.
func (d destination) withOptions(o destinationFlags) (destination, error) {
	bare := o
	switch c := d.codec.(type) {
	case oathcsv.Codec:
		c.Realm, c.Resolver = o.realm, o.resolver
		d, bare.realm = d.with(c), ""
	case pijson.Codec:
		c.Realm, c.Resolver = o.realm, o.resolver
		d, bare.realm = d.with(c), ""
	case entra.Codec:
		c.Domain = o.domain
		d, bare.domain = d.with(c), ""
	case keycloak.Codec:
		c.IfExists = strings.ToUpper(o.ifExists)
		switch {
		case c.IfExists != "" && c.IfExists != keycloak.Fail && c.IfExists != keycloak.Skip && c.IfExists != keycloak.Overwrite:
			return d, usagef("--if-exists %s is unknown", printable(o.ifExists)).hint("it is fail, skip or overwrite")
		case c.IfExists != "" && c.Bodies:
			return d, usagef("--if-exists goes with the partial import: --for keycloak")
		}
		d, bare.ifExists = d.with(c), ""
	case nextcloud.Codec:
		c.Renew = o.renew
		d, bare.renew = d.with(c), false
	}
	switch {
	case bare.realm != "" || o.resolver != "" && o.realm == "":
		return d, usagef("--realm, with or without --resolver, goes with the formats oath-csv and pi-json")
	case bare.domain != "":
		return d, usagef("--domain goes with the format entra")
	case bare.ifExists != "":
		return d, usagef("--if-exists goes with the format keycloak")
	case bare.renew:
		return d, usagef("--renew goes with the format nextcloud")
	}
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

// unknownTarget names the targets of a server that reads another file for each type of token, such as Duo, or else all of
// them.
func unknownTarget(name string) error {
	var own []string
	for _, t := range targetNames() {
		if strings.HasPrefix(t, name+"-") {
			own = append(own, t)
		}
	}
	if len(own) > 0 {
		return usagef("--for %s is not enough: that server reads a file for each type of token", printable(name)).hint("it is one of: %s", joined(own))
	}
	return usagef("--for %s is unknown", printable(name)).hint("it is one of: %s", joined(targetNames()))
}
