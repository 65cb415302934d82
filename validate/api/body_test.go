package api

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// TestHostileBodies: what is no plain object of the right fields is refused, and nothing is checked.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, kind, body string
		status           int
	}{
		{"no type", "", `{"person":"ada"}`, 415},
		{"a form", "application/x-www-form-urlencoded", `person=ada`, 415},
		{"text", "text/plain", `{"person":"ada"}`, 415},
		{"broken type", "application/json; =", `{"person":"ada"}`, 415},
		{"empty", "application/json", ``, 400},
		{"null", "application/json", `null`, 400},
		{"array", "application/json", `[{"person":"ada"}]`, 400},
		{"two objects", "application/json", `{"person":"ada"}{"person":"bob"}`, 400},
		{"cut", "application/json", `{"person":"ada"`, 400},
		{"unknown field", "application/json", `{"person":"ada","pin":"1"}`, 400},
		{"other case", "application/json", `{"Person":"ada"}`, 400},
		{"long s", "application/json", `{"perſon":"ada"}`, 400},
		{"twice", "application/json", `{"person":"ada","person":"bob"}`, 400},
		{"twice, escaped", "application/json", `{"person":"ada","p\u0065rson":"bob"}`, 400},
		{"number for text", "application/json", `{"person":1}`, 400},
		{"null for text", "application/json", `{"person":"ada","factor":null}`, 400},
		{"object for text", "application/json", `{"person":{"a":"b"}}`, 400},
		{"no UTF-8", "application/json", "{\"person\":\"\xff\"}", 400},
		{"mark", "application/json", "\ufeff" + `{"person":"ada"}`, 400},
		{"deep", "application/json", strings.Repeat(`[`, 8000), 400},
		{"long", "application/json", `{"person":"` + strings.Repeat("a", maxBody) + `"}`, 413},
		{"both", "application/json", `{"person":"ada","serial":"1","factor":"123456"}`, 400},
	} {
		s := newSite(t)
		req := httptest.NewRequest(http.MethodPost, "/api/v1/verify", strings.NewReader(tc.body))
		req.Header.Set("Content-Type", tc.kind)
		if w := do(s, req, newerKey); w.Code != tc.status || s.checker.checks != 0 {
			t.Errorf("%s: %d, want %d, %d checks: %s", tc.name, w.Code, tc.status, s.checker.checks, w.Body)
		}
	}
	s := newSite(t)
	for _, body := range []string{" \n" + `{"person":"ada","factor":"good totp"}` + "\n", `{"factor":"","person":"a\"b","remember":false}`} {
		if w := ask(s, http.MethodPost, "/api/v1/verify", newerKey, body); w.Code != http.StatusOK {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

// TestQueries: a GET takes the parameters that it names, each once.
func TestQueries(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{
		"?q=ada": 200, "": 200, "?q=a&q=b": 400, "?q=a&r=b": 400, "?q=%zz": 400, "?q=a;b": 400,
		"?q=vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji": 400, "?q=%20vvcccccccccbjlehvrcjcekuvrfuucndbfgjkcdnhlji%0A": 400,
		"?q=kkjjjjjjjjjncnd.kpjcjd.gkpugg.lbxuihsvlbdnch": 400, "?q=7654321": 200, "?q=cccccccccbch": 200,
		"?q=a.very.long.mail.address.of.somebody@example.org": 200, "?q=%D1%81%D1%81%D1%81%D0%BC%D1%81%D1%81%D1%81%D1%81%D1%81%D1%81%D1%81%D1%81%D1%81%D1%81%D0%B8%D0%BE%D0%B4%D1%83%D1%80%D0%BC%D0%BA%D1%81%D0%BE%D1%81%D1%83%D0%BB%D0%B3%D0%BC%D0%BA%D0%B0%D0%B3%D0%B3": 400,
	} {
		if w := ask(newSite(t), http.MethodGet, "/api/v1/search"+query, "td_issuer", ""); w.Code != want {
			t.Errorf("%s: %d, want %d", query, w.Code, want)
		}
	}
}

// word is what an echo would be known by.
var word = regexp.MustCompile(`[A-Za-z0-9]{7,}`)

// echoes are words of sent that came back although they are in no answer to something else.
func echoes(sent, answer, usual string) (out []string) {
	for _, w := range word.FindAllString(sent, -1) {
		if strings.Contains(answer, w) && !strings.Contains(usual, w) {
			out = append(out, w)
		}
	}
	return out
}

// FuzzBodies: no body and no type makes a handler panic; the answer is a decision or a refusal, and neither it nor the log
// repeats what was sent.
func FuzzBodies(f *testing.F) {
	seeds := []string{`{"person":"Zaphod42","factor":"cccccccccbchvvcccccccccbjlehvrcj"}`, `user=Zaphod42&pass=000000`, `{"serial":"Zaphod42","factor":""}`,
		"--x\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nZaphod42\r\n--x--\r\n", `{"user":["Zaphod42"],"pass":{}}`, `user=%2540&pass=%`, `{`}
	if len(seeds) == 0 {
		f.Fatal("no seeds")
	}
	for _, r := range routes() {
		if _, body := sample(r); body != "" {
			seeds = append(seeds, body)
		}
	}
	var posts []route
	for _, r := range routes() {
		if r.method == http.MethodPost {
			posts = append(posts, r)
		}
	}
	kinds := []string{"application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"}
	for i, body := range seeds {
		for kind := range kinds {
			f.Add(body, uint(kind), uint(i))
		}
	}
	f.Fuzz(func(t *testing.T, body string, kind, n uint) {
		r := posts[n%uint(len(posts))]
		_, plain := sample(r)
		usual, _ := answerTo(t, r, kinds[0], plain)
		denial, _ := answerTo(t, r, kinds[0], `{}`)
		answer, status := answerTo(t, r, kinds[kind%uint(len(kinds))], body)
		if status != http.StatusOK && (status < 400 || status >= 500) {
			t.Errorf("%s: %d", r.path, status)
		}
		if found := echoes(body, answer, usual+denial+denialWords); len(found) > 0 {
			t.Errorf("%s: %q came back in %s", r.path, found, answer)
		}
	})
}

// denialWords are words of answers that an empty body does not bring about.
const denialWords = messageDenied + `result denied accepted findings support_code restore refused proof proven not a one-time password or code
	this holder support status authentication REJECT ACCEPT version tokendesk jsonrpc`

func answerTo(t *testing.T, r route, kind, body string) (string, int) {
	s := newSite(t)
	req := httptest.NewRequest(http.MethodPost, filled(r.path), strings.NewReader(body))
	req.Header.Set("Content-Type", kind)
	w := do(s, req, whoMay(r))
	return w.Body.String() + s.log.String(), w.Code
}
