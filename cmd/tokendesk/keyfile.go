package main

import (
	"github.com/spf13/cobra"
)

func newKeyfileCmd(a *app) *cobra.Command {
	return group("keyfile", "Hand secrets to other servers, and take them in",
		newKeyfileExportCmd(a), newKeyfileImportCmd(a), newKeyfileConvertCmd(a), newKeyfileCheckCmd(a), newKeyfileInspectCmd(a), newKeyfileFormatsCmd(a), newKeyfilePushCmd(a))
}
