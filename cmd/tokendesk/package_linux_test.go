package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const packageVersion = "1.2.3"

// judged runs a foreign program, which must be content, and returns what it said.
func judged(t *testing.T, dir string, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000", "LC_ALL=C.UTF-8", "MANWIDTH=80")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return string(out)
}

// buildPackages makes the packages as `make package` does.
func buildPackages(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	judged(t, ".", "package/build.sh", "package", dir, packageVersion)
	return dir
}

func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %q, %v", pattern, found, err)
	}
	return found[0]
}

// TestPackage builds deb and rpm twice, and has Debian's, Red Hat's and systemd's own programs judge them. It needs root, for dpkg.
func TestPackage(t *testing.T) {
	if os.Getenv("TOKENDESK_JUDGES") != "1" {
		t.Skip("make test builds the packages")
	}
	t.Parallel()
	needJudges(t, "dpkg-deb", "dpkg", "lintian", "rpm", "systemd-analyze", "systemd-sysusers", "systemd-tmpfiles", "man", "lexgrog", "strace", "bash")
	dir, again := buildPackages(t), buildPackages(t)
	deb, rpm := one(t, dir+"/*.deb"), one(t, dir+"/*.rpm")
	for _, name := range []string{deb, rpm} {
		first, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		second, err := os.ReadFile(filepath.Join(again, filepath.Base(name)))
		if err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s: two builds are not the same (%v)", filepath.Base(name), err)
		}
	}
	tree := filepath.Join(dir, "tree")
	judged(t, dir, "dpkg-deb", "-x", deb, tree)
	t.Run("deb", func(t *testing.T) { t.Parallel(); judgeDeb(t, deb) })
	t.Run("rpm", func(t *testing.T) { t.Parallel(); judgeRPM(t, rpm) })
	t.Run("install", func(t *testing.T) { t.Parallel(); judgeInstall(t, deb) })
	t.Run("units", func(t *testing.T) { t.Parallel(); judgeUnits(t, tree) })
	t.Run("confined", func(t *testing.T) { t.Parallel(); judgeConfined(t, tree) })
	t.Run("man", func(t *testing.T) { t.Parallel(); judgeMan(t, tree) })
	t.Run("completion", func(t *testing.T) { t.Parallel(); judgeCompletion(t, tree) })
}

func judgeDeb(t *testing.T, deb string) {
	fields := judged(t, ".", "dpkg-deb", "-f", deb, "Package", "Version", "Depends")
	if fields != "Package: tokendesk\nVersion: "+packageVersion+"-1\nDepends: systemd\n" {
		t.Error(fields)
	}
	if list := judged(t, ".", "dpkg-deb", "-I", deb, "conffiles"); list != "/etc/tokendesk/tokendesk.env\n" {
		t.Errorf("conffiles: %s", list)
	}
	if list := judged(t, ".", "dpkg-deb", "-c", deb); strings.Contains(list, ".key") || !strings.Contains(list, "root/root") {
		t.Error(list)
	}
	if said := judged(t, ".", "lintian", "--allow-root", "--fail-on", "error,warning", deb); strings.Contains(said, "E: ") {
		t.Error(said)
	}
}

func judgeRPM(t *testing.T, rpm string) {
	if got := judged(t, ".", "rpm", "-qp", "--qf", "%{NAME} %{VERSION} %{RELEASE} %{BUILDTIME}", rpm); got != "tokendesk "+packageVersion+" 1 1700000000" {
		t.Error(got)
	}
	if got := judged(t, ".", "rpm", "-qpc", rpm); got != "/etc/tokendesk/tokendesk.env\n" {
		t.Errorf("config: %s", got)
	}
	list := judged(t, ".", "rpm", "-qlp", rpm)
	for _, name := range []string{"/usr/bin/tokendesk\n", "/usr/lib/systemd/system/tokendesk.service\n", "/usr/share/man/man1/tokendesk-serve.1.gz\n", "/usr/lib/udev/rules.d/69-tokendesk.rules\n"} {
		if !strings.Contains(list, name) {
			t.Errorf("%s is missing", name)
		}
	}
	scripts := judged(t, ".", "rpm", "-qp", "--scripts", rpm)
	if strings.Count(scripts, "scriptlet (using") != 3 || strings.Contains(scripts, "rm -") {
		t.Error(scripts)
	}
}

// judgeInstall installs into a directory, makes a store with what was installed, purges, and finds the store still there.
func judgeInstall(t *testing.T, deb string) {
	root := t.TempDir()
	for _, name := range []string{"var/lib/dpkg/info", "var/lib/dpkg/updates", "etc"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"var/lib/dpkg/status", "var/lib/dpkg/available"} {
		if err := os.WriteFile(filepath.Join(root, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	dpkg := func(words ...string) string {
		return judged(t, root, append([]string{"dpkg", "--root=" + root, "--force-script-chrootless", "--force-depends", "--log=" + root + "/log"}, words...)...)
	}
	if said := dpkg("-i", deb); !strings.Contains(said, "tokendesk init") {
		t.Errorf("it does not say what is next: %s", said)
	}
	store, program := filepath.Join(root, "var/lib/tokendesk"), filepath.Join(root, "usr/bin/tokendesk")
	if info, err := os.Stat(store); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("%v, %v", info, err)
	}
	if users, err := os.ReadFile(filepath.Join(root, "etc/passwd")); err != nil || !strings.Contains(string(users), "tokendesk:") {
		t.Errorf("%s, %v", users, err)
	}
	if said := judged(t, root, program, "version", "-o", "json"); !strings.Contains(said, `"version": "`+packageVersion+`"`) {
		t.Error(said)
	}
	judged(t, root, program, "init", "--store", store)
	judged(t, root, program, "audit", "verify", "--store", store)
	dpkg("-r", "tokendesk")
	if said := dpkg("--purge", "tokendesk"); !strings.Contains(said, "stay in /var/lib/tokendesk") {
		t.Errorf("it does not say what stays: %s", said)
	}
	for _, name := range []string{"tokendesk.db", "sealing.key", "signing.key"} {
		if _, err := os.Stat(filepath.Join(store, name)); err != nil {
			t.Errorf("after the purge: %v", err)
		}
	}
	for _, name := range []string{program, filepath.Join(root, "etc/tokendesk/tokendesk.env")} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there", name)
		}
	}
}

// judgeUnits has systemd read the units, and the one with the credential, and rate the service.
func judgeUnits(t *testing.T, tree string) {
	dir := t.TempDir()
	units, err := filepath.Glob(tree + "/lib/systemd/system/*")
	if err != nil || len(units) != 3 {
		t.Fatalf("%q, %v", units, err)
	}
	program := filepath.Join(tree, "usr/bin/tokendesk")
	copyUnit := func(from, to string) string {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, []byte(strings.ReplaceAll(string(text), "/usr/bin/tokendesk", program)), 0o644); err != nil {
			t.Fatal(err)
		}
		return to
	}
	var copies []string
	for _, u := range units {
		copies = append(copies, copyUnit(u, filepath.Join(dir, filepath.Base(u))))
	}
	copyUnit(filepath.Join(tree, "usr/share/doc/tokendesk/examples/credentials.conf"), filepath.Join(dir, "tokendesk.service.d/credentials.conf"))
	for line := range strings.Lines(judged(t, dir, append([]string{"systemd-analyze", "verify", "--man=no"}, copies...)...)) {
		if strings.Contains(line, "tokendesk") { // it reads the units of this system too
			t.Error(line)
		}
	}
	judged(t, dir, "systemd-analyze", "security", "--offline=true", "--threshold=15", filepath.Join(dir, "tokendesk.service"))
}

// call is one line of strace.
var call = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\((.*)$`)

// judgeConfined runs the server of the package, and holds every system call it makes against what the unit allows.
func judgeConfined(t *testing.T, tree string) {
	dir, program := t.TempDir(), filepath.Join(tree, "usr/bin/tokendesk")
	store, trace := filepath.Join(dir, "store"), filepath.Join(dir, "trace")
	judged(t, dir, program, "init", "--store", store)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "strace", "-D", "-f", "-qq", "-o", trace, program, "serve", "--store", store, "--listen", "127.0.0.1:0", "--metrics", "127.0.0.0/8", "--radius", "127.0.0.1:0")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		m := servingAt.FindStringSubmatch(lines.Text())
		if m == nil || m[2] == "" {
			continue
		}
		for _, path := range []string{"/readyz", "/metrics", "/wsapi/2.0/verify?id=1&nonce=0123456789abcdef&otp=" + strings.Repeat("c", 44), "/console/"} {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m[2]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil { // with -D that is the server
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("serve: %v", err)
	}
	allowed := allowedCalls(t)
	text, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(text)) {
		m := call.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			continue
		}
		seen++
		switch name, args := m[1], m[2]; {
		case !allowed[name] && !harmless(name):
			t.Errorf("the unit forbids %s(%s", name, args)
			allowed[name] = true // told
		case name == "socket" && !regexp.MustCompile(`^AF_(INET6?|UNIX),`).MatchString(args):
			t.Errorf("the unit forbids this family: %s", args)
		case (name == "mmap" || name == "mprotect") && strings.Contains(args, "PROT_WRITE|PROT_EXEC"):
			t.Errorf("memory that can be written and executed: %s", args)
		}
	}
	if seen < 300 {
		t.Errorf("strace saw %d calls", seen)
	}
}

// harmless are calls that may fail, with EPERM: the program goes on. SQLite gives files away only when root runs it, as here.
func harmless(name string) bool {
	return slices.Contains([]string{"prlimit64", "setrlimit", "fchown"}, name)
}

// allowedCalls are the system calls of SystemCallFilter in the unit, by systemd's own table.
func allowedCalls(t *testing.T) map[string]bool {
	t.Helper()
	unit, err := os.ReadFile("package/tokendesk.service")
	if err != nil {
		t.Fatal(err)
	}
	sets := map[string][]string{}
	set := ""
	for line := range strings.Lines(judged(t, ".", "systemd-analyze", "syscall-filter")) {
		word := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "@"):
			set = word
		case word != "" && !strings.HasPrefix(word, "#"):
			sets[set] = append(sets[set], word)
		}
	}
	allowed := map[string]bool{}
	var put func(word string, value bool)
	put = func(word string, value bool) {
		if !strings.HasPrefix(word, "@") {
			allowed[word] = value
			return
		}
		if len(sets[word]) == 0 {
			t.Fatalf("systemd has no set %s", word)
		}
		for _, w := range sets[word] {
			put(w, value)
		}
	}
	for line := range strings.Lines(string(unit)) {
		if list, ok := strings.CutPrefix(strings.TrimSpace(line), "SystemCallFilter="); ok {
			list, not := strings.CutPrefix(list, "~")
			for _, word := range strings.Fields(list) {
				put(word, !not)
			}
		}
	}
	if !allowed["adjtimex"] || allowed["reboot"] {
		t.Fatal("the filter was not understood")
	}
	return allowed
}

// judgeMan renders every page without a warning, and finds its one line for whatis.
func judgeMan(t *testing.T, tree string) {
	pages, err := filepath.Glob(tree + "/usr/share/man/man1/*.1.gz")
	if err != nil || len(pages) < 60 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	for _, p := range pages {
		f, err := os.Open(p)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		_ = f.Close()
		if home, err := os.UserHomeDir(); err == nil && strings.Contains(string(text), home+"/.") {
			t.Errorf("%s names the directory of whoever built it", filepath.Base(p))
		}
		if !strings.Contains(string(text), `"Nov 2023"`) || !strings.Contains(string(text), "tokendesk "+packageVersion) {
			t.Errorf("%s: time or version is not that of the build", filepath.Base(p))
		}
	}
	judged(t, tree, append([]string{"lexgrog"}, pages...)...)
	var said strings.Builder
	for chunk := range slices.Chunk(pages, 40) {
		cmd := exec.CommandContext(t.Context(), "man", append([]string{"--warnings", "-E", "UTF-8", "-P", "cat", "-l"}, chunk...)...)
		cmd.Stderr = &said
		if err := cmd.Run(); err != nil {
			fmt.Fprintln(&said, err)
		}
	}
	if said.Len() > 0 {
		t.Error(said.String())
	}
}

// judgeCompletion has bash read what was made for it, and asks the program as the shells do, with no store to be found.
func judgeCompletion(t *testing.T, tree string) {
	program := filepath.Join(tree, "usr/bin/tokendesk")
	script := `type _get_comp_words_by_ref >/dev/null 2>&1; . "$1"; complete -p tokendesk`
	if said := judged(t, tree, "bash", "-c", script, "bash", filepath.Join(tree, "usr/share/bash-completion/completions/tokendesk")); !strings.Contains(said, "__start_tokendesk") {
		t.Error(said)
	}
	for _, c := range []struct{ want, typed string }{
		{"serve", "s"}, {"validate", "serve --role "}, {"json", "version -o "}, {"block", "token b"},
	} {
		words := append([]string{program, "__complete"}, strings.Split(c.typed, " ")...)
		if said := judged(t, tree, words...); !strings.Contains(said, c.want) {
			t.Errorf("%s: %s", c.typed, said)
		}
	}
	for _, name := range []string{"usr/share/zsh/vendor-completions/_tokendesk", "usr/share/fish/vendor_completions.d/tokendesk.fish"} {
		if text, err := os.ReadFile(filepath.Join(tree, name)); err != nil || !bytes.Contains(text, []byte("__complete")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
