package main

import (
	"cmp"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokendesk/tokendesk/keyfile/otpauth"
	"github.com/tokendesk/tokendesk/keyfile/secret"
	"github.com/tokendesk/tokendesk/validate/oath"
)

// scriptOATH is `oath totp HEX AHEAD... FILE`, `oath hotp HEX COUNTER... FILE` and `oath uri URIFILE AHEAD... FILE`: write the codes that a
// token shows, each on a line. AHEAD is how far its clock is ahead of the program's, such as 0s. They have $DIGITS digits, or 6.
func scriptOATH(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 {
		ts.Fatalf("usage: oath totp|hotp|uri SECRET AHEAD|COUNTER... FILE")
	}
	key, err := secret.FromHex(args[1], len(args[1])/2)
	if args[0] == "uri" {
		rec, parseErr := otpauth.Parse([]byte(strings.TrimSpace(ts.ReadFile(args[1]))))
		key, err = rec.Key, parseErr
	}
	ts.Check(err)
	digits, err := strconv.Atoi(cmp.Or(ts.Getenv("DIGITS"), "6"))
	ts.Check(err)
	g, err := oath.New(key, oath.SHA1, digits)
	ts.Check(err)
	var lines strings.Builder
	now := time.Now() // of all: another step may begin meanwhile
	for _, text := range args[2 : len(args)-1] {
		moving, err := strconv.ParseInt(text, 10, 64)
		if args[0] != "hotp" {
			var ahead time.Duration
			ahead, err = time.ParseDuration(text)
			moving = oath.Step(now.Add(later(ts.Getenv("LATER"))+ahead), 30*time.Second)
		}
		ts.Check(err)
		lines.WriteString(g.Code(moving) + "\n")
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[len(args)-1]), []byte(lines.String()), 0o600))
}
