package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"

	"github.com/tokendesk/tokendesk/provision/desk"
)

// escrowed is a program of the guest: it prints the access code of the only live credential of the store in the working
// directory. No command of tokendesk does that.
func escrowed() {
	if err := printAccessCode(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "escrowed:", err)
		os.Exit(1)
	}
}

func printAccessCode(ctx context.Context) error {
	a := &app{env: systemEnv(), store: "."}
	st, err := a.openStore(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	tokens, err := st.Tokens(ctx, desk.Match{})
	if err != nil {
		return err
	}
	_, live, err := st.Slots(ctx, tokens[0].Serial)
	if err != nil {
		return err
	}
	_, err = fmt.Println(hex.EncodeToString(live[0].Secrets.AccessCode.Reveal()))
	return err
}
