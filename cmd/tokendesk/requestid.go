package main

import (
	"encoding/hex"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/tokendesk/tokendesk/validate"
)

// numbered gives each request an ID, which is in the answer and in the log: what was drawn for this process, and a number. What a
// caller sends in this header is not looked at.
func numbered(random io.Reader) (func(http.Handler) http.Handler, error) {
	var drawn [4]byte
	if _, err := io.ReadFull(random, drawn[:]); err != nil {
		return nil, err
	}
	prefix := hex.EncodeToString(drawn[:]) + "-"
	var last atomic.Uint64
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()[validate.RequestIDHeader] = []string{prefix + strconv.FormatUint(last.Add(1), 36)}
			h.ServeHTTP(w, r)
		})
	}, nil
}
