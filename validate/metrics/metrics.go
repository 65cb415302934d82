// Package metrics counts for Prometheus what the other packages do.
//
// No label has a value that came in: a value is one of a list that this program's words fill, and what is not in the list counts as
// "other". So the number of series is bounded whatever is asked. Names and labels are an interface: alerts stand on them.
package metrics

import (
	"context"
	"net/http"
	"runtime"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tokendesk/tokendesk/validate"
)

// other stands for every value that is in no list.
const other = "other"

// Metrics is what is counted in one process. Make it with New; it is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	lists    lists

	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	reasons  *prometheus.CounterVec
	remarks  *prometheus.CounterVec

	batch  prometheus.Histogram
	commit prometheus.Histogram
	failed prometheus.Counter
}

var _ validate.Observer = (*Metrics)(nil)

// requestBuckets are in seconds: a decision takes some ms, one that waits for a lock or a dead store up to the doors' patience.
func requestBuckets() []float64 {
	return []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .25, .5, 1, 2.5, 5, 10}
}

// New returns Metrics of a program of this version and revision.
func New(version, revision string) *Metrics {
	r := prometheus.NewRegistry()
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
		r.MustRegister(h)
		return h
	}
	m := &Metrics{
		registry: r, lists: newLists(),
		requests: counter("tokendesk_requests_total", "Requests that were answered, by door and by what the door said.", "door", "outcome"),
		reasons:  counter("tokendesk_decisions_total", "Decisions about one-time passwords and codes, by reason.", "reason"),
		remarks:  counter("tokendesk_remarks_total", "What was out of the ordinary about a request, such as near_end, copied, delayed, limited.", "remark"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tokendesk_request_seconds", Help: "Time of a request, with what was left to do after the answer.", Buckets: requestBuckets(),
		}, []string{"door"}),
		batch:  histogram("tokendesk_store_batch_size", "Changes that shared one durable transaction.", prometheus.ExponentialBuckets(1, 2, 9)),
		commit: histogram("tokendesk_store_transaction_seconds", "Time of a durable transaction, from its begin.", requestBuckets()),
		failed: prometheus.NewCounter(prometheus.CounterOpts{Name: "tokendesk_store_errors_total", Help: "Transactions that failed, each of which undid all its changes."}),
	}
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tokendesk_build_info", Help: "1; the labels say what runs."}, []string{"version", "revision", "go"})
	build.WithLabelValues(version, revision, runtime.Version()).Set(1)
	r.MustRegister(m.seconds, m.failed, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	for _, d := range validate.Doors() { // so that a rate begins at 0
		m.seconds.WithLabelValues(string(d))
	}
	return m
}

// Answered implements validate.Observer.
func (m *Metrics) Answered(_ context.Context, a validate.Answered) {
	door := m.lists.doors.word(string(a.Door))
	outcome := a.Outcome
	if outcome == "" && http.StatusText(a.Status) != "" {
		outcome = strconv.Itoa(a.Status)
	} else {
		outcome = m.lists.outcomes.word(outcome)
	}
	m.requests.WithLabelValues(door, outcome).Inc()
	m.seconds.WithLabelValues(door).Observe(a.Took.Seconds())
	if a.Reason != "" {
		m.reasons.WithLabelValues(m.lists.reasons.word(string(a.Reason))).Inc()
	}
	for _, remark := range a.Remarks() {
		m.remarks.WithLabelValues(remark).Inc()
	}
}

// Committed counts one transaction of the store: how many changes were in it, how long it took, and why it failed.
func (m *Metrics) Committed(changes int, took time.Duration, err error) {
	m.batch.Observe(float64(changes))
	m.commit.Observe(took.Seconds())
	if err != nil {
		m.failed.Inc()
	}
}

// Gauge adds a value that is asked for whenever metrics are read; NaN where it is not known. It is called once for each name.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value))
}

// Counter is Gauge for what only rises.
func (m *Metrics) Counter(name, help string, value func() float64) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, value))
}

// Counters is Counter for several that differ in one label, whose values are words of the program: the keys of what read returns.
func (m *Metrics) Counters(name, help, label string, read func() map[string]uint64) {
	m.registry.MustRegister(counters{prometheus.NewDesc(name, help, []string{label}, nil), read})
}

// counters implements prometheus.Collector.
type counters struct {
	desc *prometheus.Desc
	read func() map[string]uint64
}

// Describe implements prometheus.Collector.
func (c counters) Describe(to chan<- *prometheus.Desc) { to <- c.desc }

// Collect implements prometheus.Collector.
func (c counters) Collect(to chan<- prometheus.Metric) {
	for word, n := range c.read() {
		to <- prometheus.MustNewConstMetric(c.desc, prometheus.CounterValue, float64(n), word)
	}
}

// Handler answers with all of it, in the form that is asked for. It asks nobody who they are.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}
