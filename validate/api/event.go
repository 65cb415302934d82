package api

import (
	"cmp"
	"log/slog"
	"net/http"
)

// log writes the one event of a request. It holds the route's pattern, never the path or anything else that came in.
func (c *call) log(r route, status int, code string, err error) {
	if c.Log == nil {
		return
	}
	attrs := []slog.Attr{
		slog.String("route", cmp.Or(r.method, "*")+" "+r.path), slog.Int("status", status), slog.String("source", c.source),
	}
	for _, a := range []struct{ name, value string }{
		{"code", code}, {"operator", c.operator.Name}, {"reason", string(c.reason)}, {"support_code", c.support},
	} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.name, a.value))
		}
	}
	if c.client.ID != 0 {
		attrs = append(attrs, slog.Int64("client", c.client.ID), slog.Bool("signed", c.proven))
	}
	level := slog.LevelInfo
	for _, e := range []struct {
		name string
		err  error
		show bool
	}{{"error", err, status >= http.StatusInternalServerError}, {"after", c.failed, true}} {
		if e.err != nil && e.show {
			level = slog.LevelError
			attrs = append(attrs, slog.String(e.name, e.err.Error()))
		}
	}
	c.Log.LogAttrs(c.ctx, level, "api", append(attrs, slog.Duration("took", c.Now().Sub(c.start)))...)
}
