//go:build !gendocs

package main

import "github.com/spf13/cobra"

// buildCommands are none in the program that people use.
func buildCommands(*app) []*cobra.Command { return nil }
