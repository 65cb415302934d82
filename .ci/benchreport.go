//go:build ignore

// Command benchreport reads the output of `go test -bench -count N` and prints the median of each measure, and the ratios
// that are asked for in one and the same run.
package main

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ratios are pairs of benchmarks that say something only beside each other.
var ratios = []struct{ name, of, over, unit string }{
	{"validations on 1 connection beside a bare net/http handler", "BenchmarkValidate/1", "BenchmarkBare/1", "req/s"},
	{"validations on 16 connections beside a bare net/http handler", "BenchmarkValidate/16", "BenchmarkBare/16", "req/s"},
	{"validations on 64 connections beside a bare net/http handler", "BenchmarkValidate/64", "BenchmarkBare/64", "req/s"},
	{"validations on 64 connections beside commits one after the other", "BenchmarkValidate/64", "BenchmarkCommit", "req/s"},
	{"validations on 1 connection beside yubiserver", "BenchmarkValidate/1", "BenchmarkYubiserver", "req/s"},
	{"64 callers beside 1, durable advances", "BenchmarkAccept/64", "BenchmarkAccept/1", "advances/s"},
	{"PostgreSQL: 64 callers beside 64 connections that commit one row each", "BenchmarkPGAccept/64", "BenchmarkPGCommit/64", "advances/s"},
	{"PostgreSQL: the same callers at two servers beside one", "BenchmarkPGAccept/64/2servers", "BenchmarkPGAccept/64", "advances/s"},
	{"PostgreSQL: the same callers at three servers beside one", "BenchmarkPGAccept/64/3servers", "BenchmarkPGAccept/64", "advances/s"},
	{"PostgreSQL on a disk 5 ms slower: 64 callers beside 1", "BenchmarkPGSlow/64", "BenchmarkPGSlow/1", "advances/s"},
}

func main() {
	seen := map[string]map[string][]float64{}
	var order []string
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		f := strings.Fields(in.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			if strings.HasPrefix(in.Text(), "FAIL") || strings.HasPrefix(in.Text(), "--- FAIL") {
				fmt.Println(in.Text())
				defer os.Exit(1)
			}
			continue
		}
		name := f[0][:strings.LastIndexByte(f[0], '-')] // -GOMAXPROCS
		if seen[name] == nil {
			seen[name] = map[string][]float64{}
			order = append(order, name)
		}
		for i := 2; i+1 < len(f); i += 2 {
			if v, err := strconv.ParseFloat(f[i], 64); err == nil {
				seen[name][f[i+1]] = append(seen[name][f[i+1]], v)
			}
		}
	}
	for _, name := range order {
		var parts []string
		for unit, values := range seen[name] {
			parts = append(parts, short(median(values))+" "+unit)
		}
		slices.Sort(parts)
		fmt.Printf("%-36s %s\n", strings.TrimPrefix(name, "Benchmark"), strings.Join(parts, ", "))
	}
	for _, r := range ratios {
		if of, over := median(seen[r.of][r.unit]), median(seen[r.over][r.unit]); over > 0 {
			fmt.Printf("ratio: %s: %.2f\n", r.name, of/over)
		}
	}
}

// short has four digits or all that are before the point.
func short(v float64) string {
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// median of no value is 0.
func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(values))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
