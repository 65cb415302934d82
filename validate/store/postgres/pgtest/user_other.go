//go:build !unix

package pgtest

import (
	"errors"
	"os/exec"
)

func canRun() error { return errors.New("only on Unix") }

func give(string) error { return nil }

func command(name string, args ...string) *exec.Cmd { return exec.Command(name, args...) }
