package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/tokendesk/tokendesk/validate"
	"github.com/tokendesk/tokendesk/validate/metrics"
)

// scrape reads the metrics as Prometheus does, and holds their names and texts against its conventions.
func scrape(t *testing.T, m *metrics.Metrics) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range all {
		if !strings.HasPrefix(name, "tokendesk_") {
			continue
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		if counter := f.GetType() == dto.MetricType_COUNTER; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %v", name, f.GetType())
		}
	}
	return all
}

// value is one series of a counter or gauge.
func value(all map[string]*dto.MetricFamily, name string, labels ...string) float64 {
series:
	for _, m := range all[name].GetMetric() {
		for i := 0; i < len(labels); i += 2 {
			if label(m, labels[i]) != labels[i+1] {
				continue series
			}
		}
		return m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	return -1
}

func label(m *dto.Metric, name string) string {
	for _, l := range m.GetLabel() {
		if l.GetName() == name {
			return l.GetValue()
		}
	}
	return ""
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, ctx := metrics.New("v1.2.3", "abc"), t.Context()
	m.Answered(ctx, validate.Answered{Door: validate.DoorWSAPI, Status: 200, Outcome: "OK", Reason: validate.ReasonAccepted, Took: 3 * time.Millisecond, Marks: validate.Marks{NearEnd: true}})
	m.Answered(ctx, validate.Answered{Door: validate.DoorStaff, Status: 403, Took: time.Second})
	m.Committed(3, 2*time.Millisecond, nil)
	m.Committed(1, time.Millisecond, errors.New("disk on fire"))
	m.Gauge("tokendesk_answer", "Of everything.", func() float64 { return 42 })
	m.Counter("tokendesk_jumps_total", "Of the clock.", func() float64 { return 2 })
	m.Counters("tokendesk_drops_total", "Of packets.", "cause", func() map[string]uint64 { return map[string]uint64{"too many": 5} })
	all := scrape(t, m)
	for _, c := range []struct {
		want   float64
		name   string
		labels []string
	}{
		{1, "tokendesk_requests_total", []string{"door", "wsapi", "outcome", "OK"}},
		{1, "tokendesk_requests_total", []string{"door", "staff", "outcome", "403"}},
		{1, "tokendesk_decisions_total", []string{"reason", "accepted"}},
		{1, "tokendesk_remarks_total", []string{"remark", "near_end"}},
		{1, "tokendesk_store_errors_total", nil},
		{42, "tokendesk_answer", nil},
		{2, "tokendesk_jumps_total", nil},
		{5, "tokendesk_drops_total", []string{"cause", "too many"}},
		{1, "tokendesk_build_info", []string{"version", "v1.2.3", "revision", "abc"}},
	} {
		if got := value(all, c.name, c.labels...); got != c.want {
			t.Errorf("%s %v: %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for name, want := range map[string]float64{"tokendesk_store_batch_size": 4, "tokendesk_store_transaction_seconds": 0.003} {
		if got := all[name].GetMetric()[0].GetHistogram().GetSampleSum(); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for _, name := range []string{"go_goroutines", "process_start_time_seconds"} {
		if all[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestCardinality: whatever is in an event, the number of series stays what this program's words make of it.
func TestCardinality(t *testing.T) {
	t.Parallel()
	m := metrics.New("v", "r")
	for i := range 5000 {
		evil := fmt.Sprintf("x%d\"\n} 1", i)
		m.Answered(context.Background(), validate.Answered{
			Door: validate.Door(evil), Outcome: evil, Reason: validate.Reason(evil), Source: evil, Route: evil, Code: evil, Operator: evil, Kind: evil, Client: int64(i),
		})
		m.Answered(context.Background(), validate.Answered{Door: validate.DoorOther, Status: i})
	}
	all, series := scrape(t, m), 0
	for name, f := range all {
		if strings.HasPrefix(name, "tokendesk_") {
			series += len(f.GetMetric())
		}
		for _, s := range f.GetMetric() {
			for _, l := range s.GetLabel() {
				if strings.Contains(l.GetValue(), "\n") {
					t.Errorf("%s has the value %q", name, l.GetValue())
				}
			}
		}
	}
	if series > 120 {
		t.Errorf("%d series", series)
	}
	if value(all, "tokendesk_requests_total", "door", "other", "outcome", "other") < 5000 || value(all, "tokendesk_decisions_total", "reason", "other") != 5000 {
		t.Error("what is in no list is not counted as other")
	}
}

// TestWords: each reason, and each door, that package validate names has a series of its own.
func TestWords(t *testing.T) {
	t.Parallel()
	m, n := metrics.New("v", "r"), 0
	for _, name := range constants(t, "Reason") {
		n++
		m.Answered(t.Context(), validate.Answered{Door: validate.DoorWSAPI, Outcome: "OK", Reason: validate.Reason(name)})
		if value(scrape(t, m), "tokendesk_decisions_total", "reason", name) != 1 {
			t.Errorf("reason %q is not in the list", name)
		}
	}
	for _, name := range append(constants(t, "Outcome"), constants(t, "Door")...) {
		n++
		m.Answered(t.Context(), validate.Answered{Door: validate.Door(name), Outcome: name})
	}
	all := scrape(t, m)
	if n < 30 || value(all, "tokendesk_requests_total", "door", "other", "outcome", "other") != 1 { // DoorOther itself
		t.Errorf("of %d words some are in no list: %v", n, all["tokendesk_requests_total"])
	}
}

// TestOutcomes: every word that a door says has a series of its own.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	m, n := metrics.New("v", "r"), 0
	said := func(name, kind string) bool {
		return kind == "status" || strings.HasPrefix(name, "outcome") || strings.HasPrefix(name, "ksm") || strings.HasPrefix(name, "revoke") && name != "revokeActor"
	}
	for _, dir := range []string{"wsapi", "radius"} {
		for _, word := range words(t, filepath.Join("..", dir), said) {
			n++
			word = strings.TrimSpace(word)
			m.Answered(t.Context(), validate.Answered{Door: validate.DoorKSM, Outcome: word})
			if value(scrape(t, m), "tokendesk_requests_total", "outcome", word) < 1 {
				t.Errorf("outcome %q is not in the list", word)
			}
		}
	}
	if n < 20 {
		t.Errorf("%d words", n)
	}
}

// constants are the values of package validate's constants of a type.
func constants(t *testing.T, kind string) []string {
	t.Helper()
	return words(t, "..", func(_, of string) bool { return of == kind })
}

// words are the texts of a package's constants that are wanted by name and type.
func words(t *testing.T, dir string, wanted func(name, kind string) bool) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok || len(v.Values) != 1 {
				return true
			}
			kind := ""
			if of, typed := v.Type.(*ast.Ident); typed {
				kind = of.Name
			}
			if lit, isLit := v.Values[0].(*ast.BasicLit); isLit && lit.Kind == token.STRING && wanted(v.Names[0].Name, kind) {
				s, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				list = append(list, s)
			}
			return true
		})
	}
	return list
}
