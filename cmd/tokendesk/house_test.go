package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const modulePath = "github.com/tokendesk/tokendesk/"

// layer is one row of DESIGN.md's import table.
type layer struct {
	name     string
	packages []string // patterns of path.Match, relative to the module
	may      []string // layers
	except   []string // packages that it must not reach, not even transitively
	outside  bool     // may import other modules: the formats' libraries, drivers, the command line's
}

// layers is the table. A package belongs to the first layer that names it.
var layers = []layer{
	{name: "leaf", packages: []string{"keyfile/secret", "ykslot/modhex", "ykslot/yubiotp", "ykslot/apdu", "validate/oath", "usbhid", "cmd/tokendesk/early"}, may: []string{"leaf"}},
	{name: "model", packages: []string{"provision/token", "provision/profile", "provision/desk/audit", "keyfile/seal"}, may: []string{"leaf", "model"}},
	{name: "test", packages: []string{"validate/store/chaos"}, may: []string{"leaf"}},
	{name: "adapter", outside: true, may: []string{"leaf", "model", "protocol", "use case", "desk", "adapter"}, packages: []string{
		"usbhid/libusb", "usbhid/hidraw", "usbhid/usbfs", "provision/pcsc", "provision/journal", "provision/paper", "provision/piv/pivhw",
		"keyfile/push/*", "provision/desk/mail", "validate/store/*", "validate/wsapi", "validate/api", "validate/console", "validate/front", "validate/radius", "validate/metrics"}},
	{name: "desk", packages: []string{"provision/desk"}, may: []string{"leaf", "model", "protocol", "use case"},
		except: []string{"ykslot", "usbhid", "provision"}},
	{name: "use case", packages: []string{"validate/diagnose", "validate/eventlog"}, may: []string{"leaf", "model", "use case"}, except: []string{"provision", "ykslot", "usbhid"}},
	{name: "use case", packages: []string{"provision", "validate", "validate/calibrate", "validate/caller"}, may: []string{"leaf", "model", "protocol"}},
	{name: "use case", packages: []string{"provision/batch", "provision/oathaccount"}, may: []string{"leaf", "model", "protocol", "use case"}, except: []string{"validate", "provision/desk"}},
	{name: "station", packages: []string{"provision/appointment"}, may: []string{"leaf", "model", "protocol", "use case", "desk", "adapter"}},
	{name: "protocol", outside: true, packages: []string{"ykslot", "ykslot/*", "keyfile", "keyfile/*", "keyfile/push/*", "provision/oathapplet", "provision/piv"}, may: []string{"leaf", "model", "protocol"}},
	{name: "test", outside: true, packages: []string{"hwtest/*", "hwtest/*/*", "keyfile/*/*test", "validate/store/*/*test"}, may: []string{"leaf", "model", "protocol", "use case", "desk", "adapter", "test"}},
	{name: "cmd", outside: true, packages: []string{"cmd/tokendesk"}, may: []string{"leaf", "model", "protocol", "use case", "desk", "station", "adapter", "test"},
		except: []string{"hwtest/usbip", "hwtest/vm", "hwtest/suite", "hwtest/vkey/socket", "hwtest/vkey/vpcd"}},
}

func layerOf(pkg string) *layer {
	for i := range layers {
		for _, p := range layers[i].packages {
			if ok, _ := path.Match(p, pkg); ok {
				return &layers[i]
			}
		}
	}
	return nil
}

// TestHouseImports holds the module's imports, without those of tests, against the table.
func TestHouseImports(t *testing.T) {
	t.Parallel()
	for _, p := range listPackages(t) {
		own, ours := strings.CutPrefix(p.ImportPath, modulePath)
		if !ours {
			continue
		}
		l := layerOf(own)
		if l == nil {
			t.Errorf("%s has no layer in DESIGN.md's import table", own)
			continue
		}
		for _, imp := range p.Imports {
			checkImport(t, own, l, imp)
		}
		for _, dep := range p.Deps {
			if rel, ok := strings.CutPrefix(dep, modulePath); ok && slices.Contains(l.except, rel) {
				t.Errorf("%s (%s) reaches %s", own, l.name, rel)
			}
		}
	}
}

func checkImport(t *testing.T, own string, l *layer, imp string) {
	rel, ours := strings.CutPrefix(imp, modulePath)
	if !ours {
		foreign := strings.Contains(imp, ".") && !strings.HasPrefix(imp, "golang.org/x/")
		if foreign && !l.outside {
			t.Errorf("%s (%s) imports %s, of another module", own, l.name, imp)
		}
		if imp == "github.com/google/gousb" && own != "usbhid/libusb" {
			t.Errorf("%s imports gousb: only usbhid/libusb may", own)
		}
		return
	}
	if target := layerOf(rel); target != nil && !slices.Contains(l.may, target.name) {
		t.Errorf("%s (%s) imports %s (%s)", own, l.name, rel, target.name)
	}
}

type listed struct {
	ImportPath    string
	Imports, Deps []string
}

func listPackages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 10 {
		t.Fatalf("go list names %d packages", len(all))
	}
	return all
}

// The hard budget of STYLE.md rule 22, and rules 25 and 32.
const (
	maxFileLines = 500
	maxFuncLines = 80
)

// TestHouseShape holds every Go file of the module against the budget, and finds init functions and hidden exits.
func TestHouseShape(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir(filepath.Join("..", ".."), func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" { // in which others write
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || filepath.Ext(p) != ".go" {
			return err
		}
		seen++
		checkFile(t, p)
		return nil
	})
	if err != nil || seen < 50 {
		t.Fatalf("%d files, %v", seen, err)
	}
}

// isTable is a function that only returns a literal: data.
func isTable(fn *ast.FuncDecl) bool {
	if fn.Body == nil || len(fn.Body.List) != 1 {
		return false
	}
	ret, ok := fn.Body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return false
	}
	_, ok = ret.Results[0].(*ast.CompositeLit)
	return ok
}

func checkFile(t *testing.T, p string) {
	fset := token.NewFileSet()
	f, err := parser.ParseFile(fset, p, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	if n := fset.File(f.Pos()).LineCount(); n > maxFileLines {
		t.Errorf("%s has %d lines, %d at most", p, n, maxFileLines)
	}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFuncLines && !isTable(fn) {
			t.Errorf("%s: %s has %d lines, %d at most", p, fn.Name.Name, n, maxFuncLines)
		}
		if fn.Recv == nil && fn.Name.Name == "init" {
			t.Errorf("%s has an init function", p)
		}
		if name := fn.Name.Name; name == "main" || strings.HasPrefix(name, "Test") || strings.HasSuffix(p, "_test.go") {
			continue
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Exit" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "os" {
					t.Errorf("%s: %s calls os.Exit", p, fn.Name.Name)
				}
			}
			return true
		})
	}
}
