package main

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// relying is a relying server as the demo plays it: it signs what it asks and checks the answer's signature. It shares no
// code with package wsapi. Source: reference validation-protocol.md §4.
type relying struct {
	id  int64
	key string // base64, as client add shows it
}

// ask returns the status of the answer.
func (c relying) ask(ctx context.Context, address, otp, nonce string) (string, error) {
	key, err := base64.StdEncoding.DecodeString(c.key)
	if err != nil {
		return "", err
	}
	q := map[string]string{"id": strconv.FormatInt(c.id, 10), "nonce": nonce, "otp": otp}
	v := url.Values{"h": {signature(key, q)}}
	for name, value := range q {
		v.Set(name, value)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/wsapi/2.0/verify?"+v.Encode(), nil)
	if err != nil {
		return "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", errors.New("the server did not answer") // not %w: the error holds the URL and so the OTP
	}
	defer func() { _ = res.Body.Close() }() // read only
	answer := parseAnswer(res.Body)
	h := answer["h"]
	delete(answer, "h")
	if !hmac.Equal([]byte(h), []byte(signature(key, answer))) || answer["otp"] != otp || answer["nonce"] != nonce {
		return "", errors.New("the answer's signature is wrong")
	}
	return answer["status"], nil
}

// signature is HMAC-SHA-1 over name=value, sorted by name, joined by &.
func signature(key []byte, q map[string]string) string {
	var pairs []string
	for name, value := range q {
		pairs = append(pairs, name+"="+value)
	}
	slices.Sort(pairs)
	m := hmac.New(sha1.New, key)
	_, _ = io.WriteString(m, strings.Join(pairs, "&")) // a hash takes everything
	return base64.StdEncoding.EncodeToString(m.Sum(nil))
}

// parseAnswer reads lines of name=value.
func parseAnswer(r io.Reader) map[string]string {
	answer := map[string]string{}
	for in := bufio.NewScanner(r); in.Scan(); {
		if name, value, ok := strings.Cut(strings.TrimSpace(in.Text()), "="); ok {
			answer[name] = value
		}
	}
	return answer
}
