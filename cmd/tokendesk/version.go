package main

import (
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
)

// versionInfo is what version shows.
type versionInfo struct {
	Version    string `json:"version"`
	Revision   string `json:"revision,omitempty"`
	Go         string `json:"go"`
	System     string `json:"system"`
	Transports string `json:"transports"`
}

func newVersionCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Show the version and what is built in", Args: args(0, 0, ""),
		RunE: func(*cobra.Command, []string) error {
			return show(a, "version", readVersion(), []column[versionInfo]{
				{"Version", func(v versionInfo) string { return v.Version }},
				{"Revision", func(v versionInfo) string { return v.Revision }},
				{"Go", func(v versionInfo) string { return v.Go }},
				{"System", func(v versionInfo) string { return v.System }},
				{"Transports", func(v versionInfo) string { return v.Transports }},
			})
		},
	}
}

// stamped is the version of a package, which the linker writes; "": go build's own counts.
var stamped string

func readVersion() versionInfo {
	v := versionInfo{
		Version: "unknown", Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Transports: strings.Join(builtIn(), ", "),
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	v.Version = info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v.Revision = s.Value
		}
	}
	if stamped != "" {
		v.Version = stamped
	}
	return v
}
