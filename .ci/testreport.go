//go:build ignore

// Command testreport reads `go test -json` and prints what go test would print: the output of what failed and one closing
// line per package. It fails if anything failed, if a test was skipped, or if nothing ran: a run that is green because its
// tests did not run is not green.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output, ImportPath string
}

func main() {
	said := map[[2]string]*strings.Builder{}
	var passed, failed, skipped int
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var e event
		if err != nil || json.Unmarshal(line, &e) != nil {
			os.Stdout.Write(line)
			continue
		}
		key := [2]string{e.Package, e.Test}
		if said[key] == nil {
			said[key] = &strings.Builder{}
		}
		switch {
		case e.Action == "build-output":
			fmt.Print(e.Output)
		case e.Action == "build-fail":
			failed++
		case e.Action == "output" && e.Test == "" && closing(e.Output):
			fmt.Print(e.Output)
		case e.Action == "output":
			said[key].WriteString(e.Output)
		case e.Action == "fail":
			failed++
			fmt.Print(said[key])
		case e.Action == "skip" && e.Test != "":
			skipped++
			fmt.Print(said[key])
		case e.Action == "pass" && e.Test != "":
			passed++
		}
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed+skipped > 0 || passed == 0 {
		os.Exit(1)
	}
}

func closing(line string) bool {
	return strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?  ") ||
		strings.HasPrefix(line, "panic:")
}
