//go:build ignore

// Command testreport reads `go test -json` and prints what go test would print: the output of what failed and one closing
// line per package; of a package that was killed, or ran out of time, the output of the tests that did not end. It fails if
// anything failed, if a test was skipped that is not in the table below, or if nothing ran: a run that is green because its
// tests did not run is not green.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

// expected are the tests that cannot run everywhere, by package and name.
var expected = []struct{ test, why string }{
	{`hwtest/suite\.TestHardware`, "needs a real key: make test-hw"},
	{`hwtest/suite\.TestInGuest`, "is run inside the guest machine, by hwtest/vm"},
	{`hwtest/suite\.TestVirtual(Card)?/.*/keyboard_back_after_close`, "a key in process has no keyboard driver"},
	{`hwtest/suite\.TestPCSCD/keyboard_back_after_close`, "a key in process has no keyboard driver"},
	{`hwtest/suite\.TestVirtual(Card)?/(2\.4\.3|3\.4\.3)/device_info`, "this firmware has none"},
	{`hwtest/suite\.TestVirtual(Card)?/(2\.4\.3|3\.4\.3|4\.3\.5)/device_configuration`, "this firmware cannot"},
	{`hwtest/suite\.TestVirtual/2\.4\.3/scan_map`, "this firmware has none"},
	{`hwtest/suite\.TestVirtual/(2\.4\.3|4\.3\.5|5\.2\.7)/NDEF`, "this key has no radio"},
	{`hwtest/suite\.TestVirtual/4\.3\.5/access_code:_set,_changed_and_removed_by_updating`, "this firmware cannot"},
	{`hwtest/vkey/socket\.TestHolder`, "is the child of another test"},
	{`validate/store/postgres/pgtest\.TestLeaves`, "is the child of another test"},
	{`usbhid/usbfs\.TestLockErrors`, "root may open everything"},
}

func allowed(pkg, test string) bool {
	for _, e := range expected {
		if ok, _ := regexp.MatchString("/"+e.test+"$", "/"+pkg+"."+test); ok {
			return true
		}
	}
	return false
}

type event struct {
	Action, Package, Test, Output, ImportPath string
}

func main() {
	said := map[[2]string]*strings.Builder{}
	begun := map[string][]string{} // by package: the tests that have not ended
	var passed, failed, skipped, notHere int
	var names []string // of what failed, said again at the end: what a process that ran out of time says is long
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
		switch e.Action {
		case "run":
			begun[e.Package] = append(begun[e.Package], e.Test)
		case "pass", "fail", "skip":
			begun[e.Package] = slices.DeleteFunc(begun[e.Package], func(test string) bool { return test == e.Test })
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
			if e.Test != "" {
				names = append(names, e.Package+"."+e.Test)
				break
			}
			names = append(names, e.Package)
			for _, test := range begun[e.Package] {
				failed++
				names = append(names, e.Package+"."+test+" did not end")
				fmt.Printf("--- %s\n%s", names[len(names)-1], said[[2]string{e.Package, test}])
			}
		case e.Action == "skip" && e.Test != "" && allowed(e.Package, e.Test):
			notHere++
		case e.Action == "skip" && e.Test != "":
			skipped++
			fmt.Print(said[key])
		case e.Action == "pass" && e.Test != "":
			passed++
		}
	}
	for _, name := range names {
		fmt.Println("failed:", name)
	}
	fmt.Printf("%d tests passed, %d failed, %d skipped; %d that cannot run here, by the table in .ci/testreport.go\n", passed, failed, skipped, notHere)
	if failed+skipped > 0 || passed == 0 {
		os.Exit(1)
	}
}

func closing(line string) bool {
	return strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "FAIL\t") || strings.HasPrefix(line, "?  ") ||
		strings.HasPrefix(line, "panic:")
}
