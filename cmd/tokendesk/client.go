package main

import (
	"encoding/base64"
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tokendesk/tokendesk/provision/desk"
	"github.com/tokendesk/tokendesk/provision/token"
	"github.com/tokendesk/tokendesk/validate"
)

func newClientCmd(a *app) *cobra.Command {
	return group("client", "Register the servers that ask for validation", newClientAddCmd(a), newClientListCmd(a))
}

// clientRow is a relying server as client list shows it.
type clientRow struct {
	ID      int64  `json:"id"`
	Name    string `json:"name"`
	Active  bool   `json:"active"`
	MustSig bool   `json:"must_sign"`
}

// newClient is a relying server with its API key: a hand-over output, shown once.
type newClient struct {
	clientRow
	Key string `json:"api_key"`
}

func newClientAddCmd(a *app) *cobra.Command {
	var mustSign bool
	cmd := &cobra.Command{
		Use: "add NAME", Short: "Register a relying server; its API key is shown once", Args: args(1, 1, "NAME"),
		Example: "  tokendesk client add mail.example.org\n  tokendesk client add vpn --must-sign -o json > vpn.json",
		RunE: func(cmd *cobra.Command, given []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			c, err := a.desk(st).AddClient(cmd.Context(), given[0], mustSign)
			var text *desk.TextError
			switch {
			case errors.As(err, &text):
				return usagef("%s", err)
			case errors.Is(err, token.ErrDuplicate):
				return problemf(exitRefused, "a client of that name is registered already")
			case err != nil:
				return err
			}
			defer c.Key.Destroy()
			a.say("the API key is shown once: keep it in the client's configuration")
			return show(a, "client", newClient{clientOf(c), base64.StdEncoding.EncodeToString(c.Key.Reveal())}, []column[newClient]{
				{"Client ID", func(c newClient) string { return strconv.FormatInt(c.ID, 10) }},
				{"API key", func(c newClient) string { return c.Key }},
				{"Name", func(c newClient) string { return c.Name }},
				{"Must sign", func(c newClient) string { return yesNo(c.MustSig) }},
			})
		},
	}
	cmd.Flags().BoolVar(&mustSign, "must-sign", false, "refuse its unsigned requests")
	return cmd
}

func newClientListCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List relying servers, without their keys", Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := a.openStore(cmd.Context())
			if err != nil {
				return err
			}
			defer func() { _ = st.Close() }()
			clients, err := a.desk(st).Clients(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([]clientRow, len(clients))
			for i, c := range clients {
				rows[i] = clientOf(c)
			}
			return list(a, "clients", rows, []column[clientRow]{
				{"Client ID", func(c clientRow) string { return strconv.FormatInt(c.ID, 10) }},
				{"Name", func(c clientRow) string { return c.Name }},
				{"Active", func(c clientRow) string { return yesNo(c.Active) }},
				{"Must sign", func(c clientRow) string { return yesNo(c.MustSig) }},
			})
		},
	}
}

func clientOf(c validate.Client) clientRow { return clientRow{c.ID, c.Name, c.Active, c.MustSig} }

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
