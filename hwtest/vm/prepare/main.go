//go:build linux

// Command prepare fills the cache of package vm: it downloads and unpacks the guest's kernel, so that tests need no
// network.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/tokendesk/tokendesk/hwtest/vm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	img, err := vm.Prepare(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
	fmt.Println("guest kernel", img.Version, "is ready")
}
