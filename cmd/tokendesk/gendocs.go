//go:build gendocs

package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/tokendesk/tokendesk/usbhid"
)

// buildCommands are for `make man` and `make package` alone: gendocs writes into DIR what is made of this program's own texts, the man
// pages and the udev rule. The time in the pages is SOURCE_DATE_EPOCH.
func buildCommands(a *app) []*cobra.Command {
	return []*cobra.Command{{
		Use: "gendocs DIR", Hidden: true, Args: args(1, 1, "DIR"),
		RunE: func(cmd *cobra.Command, dirs []string) error {
			a.dataDir = "~/.local/share/tokendesk" // whoever builds
			root := newRootCmd(a)
			root.DisableAutoGenTag = true
			man := filepath.Join(dirs[0], "man")
			if err := os.MkdirAll(man, 0o755); err != nil {
				return err
			}
			header := doc.GenManHeader{Section: "1", Source: fmt.Sprintf("tokendesk %s", readVersion().Version), Manual: "tokendesk"}
			if err := doc.GenManTree(root, &header, man); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dirs[0], filepath.Base(usbhid.UdevRulePath)), []byte(usbhid.UdevRule), 0o644)
		},
	}}
}
