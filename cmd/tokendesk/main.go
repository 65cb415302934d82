// Command tokendesk issues hardware tokens: it writes fresh keys into YubiKeys, hands the secrets to the servers that must
// check them, checks one-time passwords itself, and blocks a lost token in one step.
//
// Reading order: run.go (one call from arguments to exit code), env.go (everything that comes from outside), explain.go
// (how an error becomes a line, hints and an exit code), then one file per command.
package main

import (
	"context"
	"os"

	"github.com/tokendesk/tokendesk/cmd/tokendesk/early"
)

func main() {
	early.Restore()
	os.Exit(int(run(context.Background(), systemEnv(), os.Args[1:])))
}
