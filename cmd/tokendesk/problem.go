package main

import "fmt"

// problem is an error that a command makes itself, with its code and what to do next.
type problem struct {
	line  string
	hints []string
	code  exitCode
	cause error // nil: none
}

func (p *problem) Error() string { return p.line }

// Unwrap is the cause.
func (p *problem) Unwrap() error { return p.cause }

// hint adds a line that says what to do next.
func (p *problem) hint(format string, a ...any) *problem {
	p.hints = append(p.hints, fmt.Sprintf(format, a...))
	return p
}

func problemf(code exitCode, format string, a ...any) *problem {
	return &problem{line: fmt.Sprintf(format, a...), code: code}
}

func usagef(format string, a ...any) *problem { return problemf(exitUsage, format, a...) }
