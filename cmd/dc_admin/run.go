package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/tlsconf"
	"github.com/distcache/distcache/wire"
)

const program = "dc_admin"

// How long a call may take without -timeout. The node itself gives a change of the cluster a minute.
const (
	readTimeout   = 10 * time.Second
	changeTimeout = 75 * time.Second
)

// A command is one of dc_admin's commands.
type command struct {
	name     string
	operands string        // for usage
	summary  string        // a phrase, for the list of commands
	about    string        // for the command's own help
	flags    []string      // besides those that all commands take
	timeout  time.Duration // 0: none
	run      func(ctx context.Context, c *call) error
}

// goesOn tells the operator what the node does when dc_admin stops waiting for its answer. It is empty for a command
// that changes nothing.
func (cmd *command) goesOn() string {
	switch cmd.timeout {
	case readTimeout:
		return ""
	case changeTimeout:
		return fmt.Sprintf("The change may still take place: \"%s members\" shows whether it did.", program)
	}
	return fmt.Sprintf("The node goes on compacting: \"%s status\" says so until it is done. "+
		"Stopping the node ends this without harm.", program)
}

// commands returns all commands, in the order in which usage lists them.
func commands() []*command {
	return []*command{statusCommand(), membersCommand(), checkCommand(), joinCommand(), grantCommand(), leaveCommand(), removeCommand(),
		transferCommand(), compactCommand(), convertCommand(), certsCommand(), sealKeyCommand()}
}

// A call is what a command works with.
type call struct {
	node     *admin.Client
	operands []string
	discard  bool
	force    bool
	data     string
	to       string
	name     string
	days     uint64
	epoch    time.Duration
	add      bool
	drop     string
	show     bool
	json     bool
	out      io.Writer
	notes    io.Writer         // progress and warnings, for people
	terminal bool              // notes go to a terminal
	explain  func(error) error // adds advice to an error of node
}

// options are dc_admin's flags.
type options struct {
	connect wire.Address
	tls     *config.TLS
	json    bool
	timeout time.Duration
	discard bool
	force   bool
	data    string
	to      string
	name    string
	days    uint64
	epoch   time.Duration
	add     bool
	drop    string
	show    bool
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, set, err := newOptions()
	if err != nil {
		return err
	}
	operands, err := set.Parse(args, stdout)
	if err != nil {
		return err
	}
	for _, name := range set.UnknownVariables() {
		fmt.Fprintf(stderr, "%s: environment variable %s is ignored: there is no flag of that name\n", program, name)
	}
	if len(operands) > 0 && operands[0] == "help" {
		if len(operands) > 1 {
			if _, err := find(operands[1:]); err != nil {
				return err
			}
		}
		return set.PrintHelp(stdout, operands[1:])
	}
	cmd, err := find(operands)
	if err != nil {
		return err
	}
	if err := opts.connect.CheckDial(); err != nil {
		return config.Usagef("-connect: %w", err)
	}
	if err := onlyItsFlags(cmd, set); err != nil {
		return err
	}
	timeout := cmd.timeout
	if opts.timeout > 0 {
		timeout = opts.timeout
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	at := []wire.Address{opts.connect}
	if err := opts.tls.Needed("-connect", at); err != nil {
		return err
	}
	if err := opts.tls.Load(slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	opts.tls.Connecting(at)
	client := admin.NewClient(at[0].Dial)
	defer client.Close()
	explain := func(err error) error { return explain(err, opts.connect, timeout, cmd.goesOn()) }
	f, ok := stderr.(*os.File)
	return explain(cmd.run(ctx, &call{
		node: client, operands: operands[1:], discard: opts.discard, force: opts.force, data: opts.data, to: opts.to,
		name: opts.name, days: opts.days, epoch: opts.epoch, add: opts.add, drop: opts.drop, show: opts.show,
		json: opts.json, out: stdout, notes: stderr, terminal: ok && term.IsTerminal(int(f.Fd())), explain: explain,
	}))
}

// onlyItsFlags refuses flags that belong to another command.
func onlyItsFlags(cmd *command, set *config.Set) error {
	takers := map[string][]string{} // the commands that take a flag
	for _, other := range commands() {
		for _, name := range other.flags {
			takers[name] = append(takers[name], other.name)
		}
	}
	for name, by := range takers {
		if set.OnCommandLine(name) && !slices.Contains(by, cmd.name) {
			return config.Usagef("-%s goes with %s only", name, strings.Join(by, " and "))
		}
	}
	return nil
}

func newOptions() (*options, *config.Set, error) {
	opts := &options{data: config.DataDir(), name: "distcache", days: 365, epoch: time.Hour}
	set := config.New(program, intro())
	set.Help = func(w io.Writer, operands []string) { help(set, w, operands) }
	set.Group("Flags, before or after the command")
	if err := set.Address(&opts.connect, config.AdminAddress(config.DataDir()), "connect",
		"the node's admin listener"); err != nil {
		return nil, nil, err
	}
	set.Bool(&opts.json, "json", "print JSON, for scripts")
	set.Duration(&opts.timeout, "timeout",
		"the longest to wait for the node's answer; compact and convert-log wait as long as it takes "+
			"(default 10s, or 75s for a change of the cluster)")
	opts.tls = set.TLS(false)
	set.Group("Flags of join")
	set.Bool(&opts.discard, "discard", "lose the sessions that this node has of its own")
	set.Group("Flags of remove and certs")
	set.Bool(&opts.force, "force", "remove the node even if it answers; replace the certificate that is there")
	set.Group("Flags of certs")
	set.String(&opts.name, "name", "CLUSTER", "the name of a cluster", "the cluster's name, in its certificates")
	set.Count(&opts.days, 825, "days", "for how many days the certificate is valid")
	set.Group("Flags of convert-log")
	set.String(&opts.data, "data", "DIR", "the path of a directory", "the node's data directory")
	set.Choice(&opts.to, []string{"bolt", "wal"}, "to", "the kind of log to convert to")
	set.Group("Flags of seal-key")
	set.Duration(&opts.epoch, "epoch", "how long an epoch is, 1m to 24h")
	set.Bool(&opts.add, "add", "add a new ring of keys to the file")
	set.String(&opts.drop, "drop", "RING", "the ID of a ring", "remove a ring of keys from the file")
	set.Bool(&opts.show, "show", "only show the rings of keys in the file")
	return opts, set, nil
}

func intro() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s [flags] COMMAND\n\nManages a running dc_server through its admin listener.\n\nCommands:\n",
		program)
	tw := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, cmd := range commands() {
		fmt.Fprintf(tw, "  %s\t%s\n", strings.TrimSpace(cmd.name+" "+cmd.operands), cmd.summary)
	}
	tw.Flush()
	fmt.Fprintf(&b, "\n\"%s COMMAND -h\" and \"%[1]s help COMMAND\" describe one command.\n\n", program)
	b.WriteString("ADDR is UNIX:PATH, TLS:HOST:PORT or IP:HOST:PORT. Over IP only status, members and check work, and over TLS\n" +
		"with a certificate of the role monitor.")
	return b.String()
}

// help prints the usage of the command that the operands name, or of dc_admin as a whole.
func help(set *config.Set, w io.Writer, operands []string) {
	cmd, err := find(operands)
	if err != nil {
		set.Usage(w)
		return
	}
	fmt.Fprintf(w, "usage: %s [flags] %s\n\n%s\n", program, strings.TrimSpace(cmd.name+" "+cmd.operands), cmd.about)
	set.Flags(w, append([]string{"connect", "json", "timeout", "certs"}, cmd.flags...)...)
}

func find(operands []string) (*command, error) {
	if len(operands) == 0 {
		return nil, config.Usagef("a command is needed, one of %s", names())
	}
	for _, cmd := range commands() {
		if cmd.name == operands[0] {
			return cmd, nil
		}
	}
	return nil, config.Usagef("there is no command %q: give one of %s", operands[0], names())
}

func names() string {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	return strings.Join(names, ", ")
}

// explain adds advice to an error of a call. goesOn is what the node still does when no answer came.
func explain(err error, at wire.Address, timeout time.Duration, goesOn string) error {
	var said *admin.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said):
		if said.Hint != "" {
			return config.Hint(said, "%s", said.Hint)
		}
		return said
	case errors.Is(err, context.Canceled) && goesOn == "":
		return errors.New("interrupted")
	case errors.Is(err, context.Canceled):
		return config.Hint(errors.New("interrupted"), "%s", goesOn)
	case tlsconf.IsExplained(err):
		return config.Hint(err, "-certs takes the directory with this machine's certificate: \"dc_admin certs show DIR\" shows it.")
	case errors.Is(err, admin.ErrUnreachable) && errors.Is(err, os.ErrPermission):
		return config.Hint(err, "The socket belongs to the user that dc_server runs as. Run dc_admin as that user, or as "+
			"root.")
	case errors.Is(err, admin.ErrUnreachable):
		return config.Hint(err, "Is dc_server running there? -connect, or %s_CONNECT in the environment, takes the "+
			"address of\n"+
			"its admin listener: its -admin, or else UNIX:DIR/admin.sock, where DIR is its data directory.",
			strings.ToUpper(program))
	case errors.Is(err, admin.ErrNotAdmin):
		hint := "-connect takes the -admin address of a dc_server, not its -listen or -peer address, nor an address of " +
			"dc_client."
		if cutOff(err) {
			hint += "\nIf this is the -admin address, dc_server ended before it answered; its log says why."
		}
		return config.Hint(fmt.Errorf("%v: %w", at, err), "%s", hint)
	case errors.Is(err, context.DeadlineExceeded):
		late := fmt.Errorf("%v: no answer within %v", at, timeout)
		if goesOn == "" {
			return late
		}
		return config.Hint(late, "%s", goesOn)
	}
	return err
}

// cutOff tells whether the connection ended before the answer came.
func cutOff(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// none refuses operands of a command that takes none.
func (c *call) none(name string) error {
	if len(c.operands) > 0 {
		return config.Usagef("%s takes no operands, but was given %q", name, c.operands[0])
	}
	return nil
}

// done reports that a change was made.
func (c *call) done(format string, args ...any) error {
	if c.json {
		return c.print(map[string]bool{"ok": true})
	}
	_, err := fmt.Fprintf(c.out, format+"\n", args...)
	return err
}

// print writes v as JSON.
func (c *call) print(v any) error {
	enc := json.NewEncoder(c.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// clean replaces unprintable characters. Text from another node must not break a table or control the terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// orDash returns what a table shows for s: a dash if s is empty.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}
