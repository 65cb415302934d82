package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tokendesk/tokendesk/validate/store/sqlstore"
)

// chrome is a headless Chromium at the pages of a server, as serve answers them.
type chrome struct {
	t   *testing.T
	url string
	ctx context.Context

	mu       sync.Mutex
	messages []string // of the browser's log: refused by a policy, not loaded, exceptions, dialogues
}

// chromiumPath is Debian's Chromium; where TOKENDESK_JUDGES is 1 it must be there.
func chromiumPath(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("TOKENDESK_JUDGES") == "1" {
			t.Fatal("chromium is not installed, and TOKENDESK_JUDGES is 1")
		}
		t.Skip("chromium is not installed")
	}
	return path
}

// newChrome serves the store of the rig in this process, and opens a browser.
func (r *rig) newChrome(t *testing.T) *chrome {
	t.Helper()
	path := chromiumPath(t)
	s, h := r.serving()
	t.Cleanup(s.wait)
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.WindowSize(1200, 900))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	c := &chrome{t: t, url: server.URL, ctx: ctx}
	if err := chromedp.Listen(ctx, c.listen); err != nil {
		t.Fatal(err)
	}
	return c
}

// typedEarly is said where a test typed into a field before the browser had put the cursor into it.
const typedEarly = "Autofocus processing was blocked because a document already has a focused element"

// listen keeps what the browser complains about. Answers of 400 and more are pages of ours; its advice about forms is for those with a
// user name.
func (c *chrome) listen(ev any) {
	text := ""
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Source != log.EntrySourceRecommendation && !strings.Contains(e.Entry.Text, "the server responded with a status of") &&
			!strings.Contains(e.Entry.Text, typedEarly) {
			text = fmt.Sprint(e.Entry.Source, ": ", e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		text = "a script wrote to the console"
	case *page.EventJavascriptDialogOpening:
		text = "dialogue: " + e.Message
	}
	if text == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, text)
}

// complaints are what the browser complained about since the last call.
func (c *chrome) complaints() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.messages
	c.messages = nil
	return out
}

// complains waits until the browser complains about something.
func (c *chrome) complains(about string) {
	c.t.Helper()
	got := ""
	for end := time.Now().Add(askTime); !strings.Contains(got, about); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("the browser does not say %q: %s", about, got)
		}
		got += strings.Join(c.complaints(), "\n")
	}
}

// act is something done in the browser.
type act = chromedp.Action[chromedp.Void]

// do takes steps.
func (c *chrome) do(steps ...act) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, askTime)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		c.t.Fatalf("%v at %s\n%s", err, c.path(), c.text())
	}
}

// open goes to a path of the server.
func (c *chrome) open(path string) {
	c.t.Helper()
	c.do(chromedp.Navigate(c.url + path))
}

// send takes steps that lead to another page, and returns its status.
func (c *chrome) send(steps ...act) int {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, askTime)
	defer cancel()
	answer, err := chromedp.RunResponse(ctx, steps...)
	if err != nil {
		c.t.Fatalf("%v at %s\n%s", err, c.path(), c.text())
	}
	return int(answer.Status)
}

// value is what an expression comes to in the page. It runs beside the page's policy.
func value[T any](c *chrome, expression string) T {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.ctx, askTime)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		c.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// text is what somebody reads on the page.
func (c *chrome) text() string { return value[string](c, `document.body.innerText`) }

// path is where the page is.
func (c *chrome) path() string { return value[string](c, `location.pathname + location.search`) }

// reads fails for each text that is not on the page.
func (c *chrome) reads(texts ...string) {
	c.t.Helper()
	got := c.text()
	for _, want := range texts {
		if !strings.Contains(got, want) {
			c.t.Errorf("%s: %q is missing in\n%s", c.path(), want, got)
		}
	}
}

// logIn begins a session.
func (c *chrome) logIn(apiToken string) {
	c.t.Helper()
	c.open("/console/")
	if status := c.send(chromedp.SendKeys("#token", apiToken+"\r")); status != 200 || c.path() != "/console/" {
		c.t.Fatalf("log in: %d at %s", status, c.path())
	}
}

// search types into the field on top.
func (c *chrome) search(text string) {
	c.t.Helper()
	c.send(chromedp.Clear("#q"), chromedp.SendKeys("#q", text+"\r"))
}

// quiet fails if the browser complained.
func (c *chrome) quiet() {
	c.t.Helper()
	for _, m := range c.complaints() {
		c.t.Errorf("the browser says: %s", m)
	}
}

// execute changes a row that no verb changes yet.
func (r *rig) execute(text string, args ...any) {
	r.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(r.dataDir, sqlstore.FileName)) // the driver comes with the store
	if err != nil {
		r.t.Fatal(err)
	}
	_, err = db.ExecContext(r.t.Context(), text, args...)
	if err = errors.Join(err, db.Close()); err != nil {
		r.t.Fatal(err)
	}
}
