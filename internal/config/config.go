// Package config reads the tools' settings: from flags on the command line, from the environment, and from a file, in
// this order of precedence. All tools behave alike: -h, -help and -? print usage and succeed; a wrong setting is
// reported in one sentence that names the flag and what it takes, with exit status 2.
//
// A tool makes a [Set], adds its flags to it with the defaults already in the variables, parses, and hands the error
// to [Exit]:
//
//	opts := options{timeout: 2 * time.Second}
//	set := config.New("dc_server", "usage: dc_server -listen ADDR [flags]")
//	set.Group("Clients")
//	set.Duration(&opts.timeout, "timeout", "the longest that any request may take")
//	operands, err := set.Parse(os.Args[1:], os.Stdout)
//
// The flag -timeout of dc_server is DC_SERVER_TIMEOUT in the environment, and a line "timeout 2s" in a file. A flag
// that may be repeated takes several values there, separated by commas or white space; in a file, several lines do as
// well.
package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// ErrDone is returned by [Set.Parse] when it has printed usage or the version, and the tool has nothing left to do.
// [Exit] takes it for success.
var ErrDone = errors.New("nothing more to do")

// A UsageError is a mistake in how a tool was called, told in one sentence: exit status 2.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef returns a [UsageError].
func Usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }

// A HintError is an error with advice, in sentences that [Exit] prints on lines of their own.
type HintError struct {
	Err  error
	Hint string
}

func (e *HintError) Error() string { return e.Err.Error() }
func (e *HintError) Unwrap() error { return e.Err }

// Hint returns a [HintError].
func Hint(err error, format string, args ...any) error {
	return &HintError{err, fmt.Sprintf(format, args...)}
}

// A StatusError is an error with an exit status of its own, other than 0, 1 and 2.
type StatusError struct {
	Err    error
	Status int
}

func (e *StatusError) Error() string { return e.Err.Error() }
func (e *StatusError) Unwrap() error { return e.Err }

// ErrInterrupted is the error of a tool that a signal ended. The tool has printed what it had found.
var ErrInterrupted = errors.New("interrupted")

// ErrSaid is a failure that was reported already: [Exit] prints nothing and returns 1.
var ErrSaid = errors.New("said before")

// Main is the main function of a tool that is no daemon: it calls run with a context that ends at SIGINT or SIGTERM,
// and returns what [Exit] makes of its error. A second signal ends the process at once.
func Main(program string, run func(ctx context.Context, args []string, stdout, stderr io.Writer) error) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // then the second signal has its default effect
	return Exit(program, run(ctx, os.Args[1:], os.Stdout, os.Stderr), os.Stderr)
}

// Exit prints err on stderr and returns the exit status: 0 for nil and [ErrDone], 2 for a [UsageError], its own for a
// [StatusError], 130 for [ErrInterrupted] (as in a shell after ^C), and 1 for any other error.
func Exit(program string, err error, stderr io.Writer) int {
	if err == nil || errors.Is(err, ErrDone) {
		return 0
	}
	if errors.Is(err, ErrSaid) {
		return 1
	}
	fmt.Fprintf(stderr, "%s: %v\n", program, err)
	var usage *UsageError
	var hint *HintError
	if errors.As(err, &hint) {
		fmt.Fprintln(stderr, hint.Hint)
	}
	if errors.As(err, &usage) {
		fmt.Fprintf(stderr, "\"%s -h\" explains its use.\n", program)
		return 2
	}
	var status *StatusError
	switch {
	case errors.As(err, &status):
		return status.Status
	case errors.Is(err, ErrInterrupted):
		return 130
	}
	return 1
}

// A Set is the flags of one tool. The methods that add a flag take its default from the variable. A flag's usage text
// is a phrase without a capital or a full stop.
type Set struct {
	// Help prints usage, given the operands beside -h. The default is [Set.Usage].
	Help func(w io.Writer, operands []string)

	program string
	intro   string
	groups  []*group
	flags   map[string]*value
	file    string
	source  source // which is being read
}

// A source is where settings come from, in the order of precedence.
type source int

const (
	nowhere source = iota
	commandLine
	environment
	file
)

type group struct {
	title string
	flags []*value
}

// New returns a Set for a program. Usage prints the intro above the flags.
func New(program, intro string) *Set {
	s := &Set{program: program, intro: intro, flags: make(map[string]*value)}
	s.Help = func(w io.Writer, _ []string) { s.Usage(w) }
	return s
}

// Group puts the flags that are added next under a title.
func (s *Set) Group(title string) { s.groups = append(s.groups, &group{title: title}) }

// File adds -config, which names a file of settings.
func (s *Set) File() {
	s.String(&s.file, "config", "FILE", "the path of a file", "read settings from this file: a flag's name without "+
		`the dash, white space or "=", its value; a line that begins with "#" is a comment`)
}

// Given tells whether a flag was set, by any source. It is to be called after Parse.
func (s *Set) Given(name string) bool { return s.flags[name] != nil && s.flags[name].from != nowhere }

// OnCommandLine tells whether a flag was set on the command line. It is to be called after Parse. A tool with several
// commands uses it to refuse flags of another command: on the command line such a flag is a mistake, in the
// environment or a file it is not.
func (s *Set) OnCommandLine(name string) bool {
	return s.flags[name] != nil && s.flags[name].from == commandLine
}

// Parse sets the flags from args, the environment and the file, and returns the operands: the words of args that are
// not flags. Flags and operands may be mixed; after "--" all are operands. The error is a [UsageError], or [ErrDone]
// when usage or the version was asked for and has been printed to stdout.
func (s *Set) Parse(args []string, stdout io.Writer) (operands []string, err error) {
	operands, ask, err := s.arguments(args)
	switch {
	case ask == "version":
		return operands, printed(stdout, func(w io.Writer) { fmt.Fprintln(w, s.program, Version()) })
	case ask != "":
		return operands, s.PrintHelp(stdout, operands)
	case err == nil:
		err = s.variables()
	}
	if err == nil && s.file != "" {
		err = s.readFile()
	}
	if err != nil {
		return nil, &UsageError{err}
	}
	return operands, nil
}

// PrintHelp prints the same as -h with these operands. The error is [ErrDone], or w's.
func (s *Set) PrintHelp(w io.Writer, operands []string) error {
	return printed(w, func(w io.Writer) { s.Help(w, operands) })
}

// printed writes the output of print to w.
func printed(w io.Writer, print func(io.Writer)) error {
	var b bytes.Buffer
	print(&b)
	if _, err := w.Write(b.Bytes()); err != nil {
		return err
	}
	return ErrDone
}

// ConfigFile is the file that -config names, or empty. It is to be called after Parse.
func (s *Set) ConfigFile() string { return s.file }

// UnknownVariables are the environment variables that are named like this tool's settings and match no flag. Most
// likely they are misspelled. They are not an error: Kubernetes, for one, sets variables by names of its own.
func (s *Set) UnknownVariables() (names []string) {
	known := map[string]bool{}
	for name := range s.flags {
		known[s.Variable(name)] = true
	}
	for _, setting := range os.Environ() {
		name, _, _ := strings.Cut(setting, "=")
		if strings.HasPrefix(name, s.Variable("")) && !known[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// ParseFlags is Parse for a tool that takes no operands.
func (s *Set) ParseFlags(args []string, stdout io.Writer) error {
	operands, err := s.Parse(args, stdout)
	if err == nil && len(operands) > 0 {
		err = Usagef("unexpected argument %q: settings are given as -flag value", operands[0])
	}
	return err
}

// arguments reads the command line. A flag that asks for usage or the version hides errors of the other flags.
func (s *Set) arguments(args []string) (operands []string, ask string, first error) {
	s.source = commandLine
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			operands = append(operands, args...)
			break
		}
		if len(arg) < 2 || arg[0] != '-' {
			operands = append(operands, arg)
			continue
		}
		name, val, has := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		var err error
		switch f := s.flags[name]; {
		case name == "h" || name == "help" || name == "?" || name == "version":
			ask = name
		case f == nil:
			err = fmt.Errorf("unknown flag -%s", name)
		case !has && f.flag:
			err = s.set(f, "true")
		case !has && len(args) == 0:
			err = fmt.Errorf("-%s needs a value: it takes %s", name, f.takes)
		case !has:
			val, args = args[0], args[1:]
			fallthrough
		default:
			err = s.set(f, val)
		}
		if first == nil {
			first = err
		}
	}
	return operands, ask, first
}

// variables sets from the environment what the command line has not set. An empty variable counts as not set.
func (s *Set) variables() error {
	s.source = environment
	for _, g := range s.groups {
		for _, f := range g.flags {
			text := os.Getenv(s.Variable(f.name))
			if text == "" || f.from != nowhere {
				continue
			}
			if err := s.set(f, text); err != nil {
				return fmt.Errorf("in the environment, %s: %w", s.Variable(f.name), err)
			}
		}
	}
	return nil
}

// set gives a flag its value from the source that is being read.
func (s *Set) set(f *value, text string) error {
	f.from = s.source
	return f.wrong(text, f.set(text))
}

// Variable is the environment variable that sets a flag.
func (s *Set) Variable(name string) string {
	return strings.ToUpper(s.program + "_" + strings.ReplaceAll(name, "-", "_"))
}
