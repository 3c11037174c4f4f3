package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
	"unicode"

	"golang.org/x/term"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/wire"
)

const program = "dc_admin"

// How long a call may take unless -timeout says it. A change of the cluster may take the node a minute.
const (
	readTimeout   = 10 * time.Second
	changeTimeout = 75 * time.Second
)

// A command is one of dc_admin's words.
type command struct {
	name     string
	operands string        // for usage
	summary  string        // a phrase
	about    string        // the whole story
	flags    []string      // that only some commands take
	timeout  time.Duration // 0: none
	run      func(ctx context.Context, c *call) error
}

// goesOn tells what becomes of the command when its answer is not waited for any longer: empty for one that only looks.
func (cmd *command) goesOn() string {
	switch cmd.timeout {
	case readTimeout:
		return ""
	case changeTimeout:
		return fmt.Sprintf("A change that was asked for may still take place: \"%s members\" shows how things stand.", program)
	}
	return fmt.Sprintf("The node goes on with it: \"%s status\" says so until it is done. Stopping the node ends it, harmlessly.", program)
}

// commands are in the order of usage.
func commands() []*command {
	return []*command{statusCommand(), membersCommand(), checkCommand(), joinCommand(), leaveCommand(), removeCommand(),
		transferCommand(), compactCommand(), convertCommand()}
}

// A call is what a command works with.
type call struct {
	node     *admin.Client
	operands []string
	discard  bool
	force    bool
	data     string
	to       string
	json     bool
	out      io.Writer
	notes    io.Writer         // for people, beside the result
	terminal bool              // notes go to one
	explain  func(error) error // what goes wrong when the node is asked
}

// options are dc_admin's flags.
type options struct {
	connect wire.Address
	json    bool
	timeout time.Duration
	discard bool
	force   bool
	data    string
	to      string
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
		fmt.Fprintf(stderr, "%s: %s in the environment is named like a flag, and there is none of that name\n", program, name)
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
	client := admin.NewClient(opts.connect.Dial)
	defer client.Close()
	explain := func(err error) error { return explain(err, opts.connect, timeout, cmd.goesOn()) }
	f, ok := stderr.(*os.File)
	return explain(cmd.run(ctx, &call{
		node: client, operands: operands[1:], discard: opts.discard, force: opts.force, data: opts.data, to: opts.to,
		json: opts.json, out: stdout, notes: stderr, terminal: ok && term.IsTerminal(int(f.Fd())), explain: explain,
	}))
}

// onlyItsFlags refuses what another command takes.
func onlyItsFlags(cmd *command, set *config.Set) error {
	for _, other := range commands() {
		for _, name := range other.flags {
			if other.name != cmd.name && set.OnCommandLine(name) {
				return config.Usagef("-%s goes with %s only", name, other.name)
			}
		}
	}
	return nil
}

func newOptions() (*options, *config.Set, error) {
	opts := &options{data: config.DataDir()}
	set := config.New(program, intro())
	set.Help = func(w io.Writer, operands []string) { help(set, w, operands) }
	set.Group("Flags, before or after the command")
	if err := set.Address(&opts.connect, config.AdminAddress(config.DataDir()), "connect",
		"the node's admin listener"); err != nil {
		return nil, nil, err
	}
	set.Bool(&opts.json, "json", "print JSON, for scripts")
	set.Duration(&opts.timeout, "timeout", "the longest to wait for the node's answer; compact and convert-log wait as long as it takes "+
		"(default 10s, or 75s for a change of the cluster)")
	set.Group("Flags of join")
	set.Bool(&opts.discard, "discard", "give up the sessions that this node has of its own")
	set.Group("Flags of remove")
	set.Bool(&opts.force, "force", "remove the node although it answers")
	set.Group("Flags of convert-log")
	set.String(&opts.data, "data", "DIR", "the path of a directory", "the node's data directory")
	set.Choice(&opts.to, []string{"bolt", "wal"}, "to", "the kind that its log is to have")
	return opts, set, nil
}

func intro() string {
	var b strings.Builder
	fmt.Fprintf(&b, "usage: %s [flags] COMMAND\n\nLooks after a running dc_server through its admin listener.\n\nCommands:\n", program)
	tw := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	for _, cmd := range commands() {
		fmt.Fprintf(tw, "  %s\t%s\n", strings.TrimSpace(cmd.name+" "+cmd.operands), cmd.summary)
	}
	tw.Flush()
	fmt.Fprintf(&b, "\n\"%s COMMAND -h\" and \"%[1]s help COMMAND\" tell more about one.\n\n", program)
	b.WriteString("ADDR is UNIX:PATH, or IP:HOST:PORT, where status, members and check work and nothing " +
		"can be changed.")
	return b.String()
}

// help prints the usage of the command among the operands, if there is one, else that of the whole.
func help(set *config.Set, w io.Writer, operands []string) {
	cmd, err := find(operands)
	if err != nil {
		set.Usage(w)
		return
	}
	fmt.Fprintf(w, "usage: %s [flags] %s\n\n%s\n", program, strings.TrimSpace(cmd.name+" "+cmd.operands), cmd.about)
	set.Flags(w, append([]string{"connect", "json", "timeout"}, cmd.flags...)...)
}

func find(operands []string) (*command, error) {
	if len(operands) == 0 {
		return nil, config.Usagef("which command? It takes one of %s", names())
	}
	for _, cmd := range commands() {
		if cmd.name == operands[0] {
			return cmd, nil
		}
	}
	return nil, config.Usagef("there is no command %q: it takes one of %s", operands[0], names())
}

func names() string {
	var names []string
	for _, cmd := range commands() {
		names = append(names, cmd.name)
	}
	return strings.Join(names, ", ")
}

// explain adds to what went wrong what to do next, and what goes on, if anything, when the answer did not come.
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
	case errors.Is(err, admin.ErrUnreachable) && errors.Is(err, os.ErrPermission):
		return config.Hint(err, "The socket belongs to the user that dc_server runs as: be that user, or root.")
	case errors.Is(err, admin.ErrUnreachable):
		return config.Hint(err, "Is dc_server running there? -connect, or %s_CONNECT in the environment, names its admin listener:\n"+
			"what it was given as -admin, or else UNIX:DIR/admin.sock, where DIR is its data directory.", strings.ToUpper(program))
	case errors.Is(err, admin.ErrNotAdmin):
		hint := "-connect takes the address that dc_server has as -admin, not those it has as -listen or -peer, nor dc_client's."
		if cutOff(err) {
			hint += "\nIf it is that one, dc_server ended before it answered; its log says why."
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

// cutOff tells whether the connection ended before there was an answer.
func cutOff(err error) bool {
	for _, end := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, end) {
			return true
		}
	}
	return false
}

// none is what a command without operands makes of them.
func (c *call) none(name string) error {
	if len(c.operands) > 0 {
		return config.Usagef("%s takes nothing after it, but there is %q", name, c.operands[0])
	}
	return nil
}

// done tells that a change is made.
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

// clean keeps what another node said from disturbing a table or a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// orDash is for a table's empty cells.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return clean(s)
}
