package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// input is a file that the operator named, or standard input. Reading and opening end with the context, although a pipe, a
// FIFO or a device may never answer.
type input struct {
	name     string
	standard bool // standard input
	r        io.ReadCloser
	ctx      context.Context // of the one command that reads
	failed   error           // what reading ended with, other than io.EOF
	size     int64           // in bytes, of a regular file; -1: not known
	count    int64           // bytes that were read, those read again too
}

// openInput opens a named file, or standard input for "-".
func (a *app) openInput(ctx context.Context, name string) (*input, error) {
	if name == "-" {
		return &input{name: "standard input", standard: true, r: io.NopCloser(a.stdin), ctx: ctx, size: -1}, nil
	}
	f, err := until(ctx, func() (*os.File, error) { return os.Open(name) })
	if err != nil {
		return nil, fileProblem(err, name)
	}
	size := int64(-1)
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, errors.Join(usagef("%s is a directory", printable(name)), f.Close())
	} else if err == nil && st.Mode().IsRegular() {
		size = st.Size()
	}
	return &input{name: printable(name), r: f, ctx: ctx, size: size}, nil
}

// Read implements io.Reader. A read that does not return before ctx ends is left behind with a buffer of its own.
func (in *input) Read(p []byte) (int, error) {
	if in.failed != nil {
		return 0, in.failed
	}
	buf := make([]byte, len(p))
	n, err := until(in.ctx, func() (int, error) { return in.r.Read(buf) })
	in.count += int64(n)
	if n > 0 {
		copy(p, buf[:n])
		clear(buf[:n]) // it may hold secrets
	}
	if err != nil && err != io.EOF {
		in.failed = err
	}
	return n, err
}

// Close implements io.Closer.
func (in *input) Close() error { return in.r.Close() }

// blame is err as the operator's file's fault, exit code 2, unless reading it failed or was interrupted.
func (in *input) blame(err error) error {
	if in.failed != nil {
		return fmt.Errorf("read %s: %w", in.name, in.failed)
	}
	return &problem{line: in.name + ": " + oneLine(err), code: exitUsage, cause: err}
}

// until waits for f, or for ctx to end; then f is left behind.
func until[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	if err := ctx.Err(); err != nil {
		var none T
		return none, err
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}
