package main

import (
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestGlobalFlagsReachAll: no command has a flag of its own by the name of a global one, which could not be given there any more.
func TestGlobalFlagsReachAll(t *testing.T) {
	t.Parallel()
	root := newRootCmd(&app{env: &env{}})
	seen := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			sub.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
				seen++
				if root.PersistentFlags().Lookup(f.Name) != nil {
					t.Errorf("%s: --%s hides the global flag", sub.CommandPath(), f.Name)
				}
			})
			walk(sub)
		}
	}
	walk(root)
	if seen < 100 {
		t.Errorf("%d flags seen", seen)
	}
}
