package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tokendesk/tokendesk/keyfile/seal"
)

// app is one call of the program: the environment and the global flags.
type app struct {
	*env
	format string // -o
	store  string // --store
	key    string // --key
	moved  bool   // open the store although it was moved

	keyOnce   sync.Once // makes sealing
	sealing   *seal.File
	unlocking unlocking
}

// run is the program: arguments in, exit code out. Everything it opened is closed when it returns, also after a signal.
func run(ctx context.Context, e *env, args []string) exitCode {
	ctx, stop := e.notify(ctx)
	defer stop()
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	a := &app{env: e}
	a.unlocking.silent = len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd)
	root := newRootCmd(a)
	deaf := func() {}
	defer func() { deaf() }()
	check := root.PersistentPreRunE
	root.PersistentPreRunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Name() != "serve" && !signal.Ignored(syscall.SIGHUP) { // serve reads its certificates anew then; nohup ignores it
			var hangups <-chan os.Signal
			hangups, deaf = e.hangups()
			go endOn(ctx, hangups, leave)
		}
		return check(cmd, args)
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	x := explain(err)
	if x.line != "" {
		fmt.Fprintln(e.stderr, "tokendesk: "+x.line)
	}
	for _, h := range x.hints {
		fmt.Fprintln(e.stderr, "  "+strings.ReplaceAll(h, "\n", "\n  "))
	}
	return x.code
}

// endOn lets a program whose terminal was closed end as by Ctrl-C: a held key gets its keyboard driver back.
func endOn(ctx context.Context, hangups <-chan os.Signal, leave context.CancelFunc) {
	select {
	case <-hangups:
		leave()
	case <-ctx.Done():
	}
}

func newRootCmd(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "tokendesk",
		Short: "Issue hardware tokens: write their keys, hand them over, check them, block them",
		Long: `tokendesk writes fresh keys into YubiKeys, hands the secrets to the servers that must check them,
checks one-time passwords itself, and blocks a lost token in one step.

Data goes to standard output, talk to standard error. Without a terminal nothing asks questions.`,
		Example: `  tokendesk demo                                  the whole sequence on a virtual YubiKey
  tokendesk init                                  make a store
  tokendesk doctor                                see what is missing
  tokendesk provision --slot 2 --to ada           write a fresh key and prove it by a touch
  tokendesk keyfile export --for privacyidea --plaintext --out keys.csv
  tokendesk token block ada --reason lost`,
		SilenceUsage: true, SilenceErrors: true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", args[0]).hint("see: tokendesk --help")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	f := root.PersistentFlags()
	f.StringVarP(&a.format, "output", "o", "table", "form of the data: table, json or csv")
	f.StringVar(&a.store, "store", a.dataDir, "directory of the store, or postgres://…; also "+storeVariable)
	f.StringVar(&a.key, "key", "", "file of the sealing key (default: sealing.key beside the store, or in the data directory)")
	f.Uint32Var(&a.unlocking.serial, "unlock-serial", 0, "serial number of the YubiKey that opens the sealing key, when several of them are attached")
	f.StringVar(&a.unlocking.pinFile, "unlock-pin-file", "", "file with the PIN of the YubiKey that opens the sealing key, for services")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s", flagError(err)).hint("see: %s --help", cmd.CommandPath())
	})
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if err := a.chooseStore(f.Changed("store")); err != nil {
			return err
		}
		return a.checkFormat()
	}
	complete(root, "output", "table", "json", "csv")
	root.AddCommand(
		newInitCmd(a), newStoreCmd(a), newDoctorCmd(a), newDeviceCmd(a), newProvisionCmd(a), newSlotCmd(a), newOATHCmd(a), newPIVCmd(a), newJournalCmd(a), newPersonCmd(a), newKeyfileCmd(a), newClientCmd(a), newCounterCmd(a), newYubiserverCmd(a), newRADIUSCmd(a), newOperatorCmd(a), newTokenCmd(a), newAppCmd(a), newCodeCmd(a), newBrowserCmd(a), newNoticeCmd(a), newTargetCmd(a), newServeCmd(a), newVerifyCmd(a), newAuditCmd(a), newDemoCmd(a), newVersionCmd(a),
	)
	root.AddCommand(buildCommands(a)...)
	return root
}

// group is a noun: a command that only holds its verbs.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q", words(cmd)+" "+args[0]).hint("see: %s --help", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verbs...)
	return cmd
}

// words are the command without the program's name, which begins the line of an error already.
func words(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// complete offers fixed words for a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil { // only a flag that does not exist, which every test would meet
		panic(err)
	}
}

// args checks the number of arguments and names what is missing.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usagef("%s: %s is missing", words(cmd), what).hint("see: %s --help", cmd.CommandPath())
		case most >= 0 && len(args) > most:
			return usagef("%s: too many arguments", words(cmd)).hint("see: %s --help", cmd.CommandPath())
		}
		return nil
	}
}

// flagError says what a flag takes instead of how its text was parsed.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	is, ok := map[string]string{
		"int": "a whole number", "int64": "a whole number", "uint32": "a whole number, not negative", "bool": "true or false", "duration": "a time such as 30s or 8h",
	}[bad.GetFlag().Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s is %s, not %q", bad.GetFlag().Name, is, printable(bad.GetValue()))
}
