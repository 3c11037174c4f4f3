package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/loadtest"
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, set := newOptions()
	operands, err := set.Parse(args, stdout)
	if err != nil {
		return err
	}
	if err := config.NoOperands(operands); err != nil {
		return err
	}
	if err := opts.finish(set); err != nil {
		return err
	}
	if opts.bench {
		return bench(ctx, opts, stdout, stderr)
	}
	return check(ctx, opts, stdout)
}

func check(ctx context.Context, o *options, stdout io.Writer) error {
	open := loadtest.EachTime
	if o.persistent {
		open = loadtest.Servers
	}
	result, err := loadtest.RunBarrage(ctx, loadtest.BarrageConfig{
		Open:     open(o.connect),
		Workers:  int(o.workers),
		Sessions: int(o.sessions),
		Ops:      o.ops,
		DataMin:  int(o.dataMin), DataMax: int(o.dataMax),
		Timeout: o.timeout, TimeoutVar: o.timeoutVar,
		Progress: o.progress, Out: stdout,
	})
	if result.Ops > 0 {
		fmt.Fprintln(stdout, result)
	}
	if err != nil {
		return interrupted(ctx, err)
	}
	_, err = fmt.Fprintln(stdout, "every answer was right")
	return err
}

func bench(ctx context.Context, o *options, stdout, stderr io.Writer) error {
	cfg := loadtest.BenchConfig{
		Addresses:  o.connect,
		Workers:    int(o.workers),
		Pipeline:   int(o.pipeline),
		Persistent: o.persistent,
		Duration:   o.duration,
		Mix:        o.mix,
		DataMin:    int(o.size.min), DataMax: int(o.size.max),
		Sessions: int(o.sessions),
		Timeout:  o.timeout,
		Say:      func(line string) { fmt.Fprintln(stderr, line) },
	}
	line := newLiveLine(stderr)
	if line != nil {
		cfg.Live = line.show
	}
	result, err := loadtest.RunBench(ctx, cfg)
	line.clear()
	if err != nil {
		return interrupted(ctx, err)
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(result)
	} else {
		err = result.Print(stdout)
	}
	if err == nil && result.Total.Good == 0 {
		return errors.New("not one request was answered")
	}
	return err
}

func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}

// A liveLine is written over and over on a terminal. It is nil on anything else.
type liveLine struct{ out io.Writer }

func newLiveLine(w io.Writer) *liveLine {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &liveLine{out: w}
	}
	return nil
}

// clearLine begins the line anew and empties it.
const clearLine = "\r\x1b[K"

func (l *liveLine) show(v loadtest.Live) {
	fmt.Fprintf(l.out, "%s%4.0fs  %8.0f/s  p50 %-9v p99 %-9v errors %d", clearLine, v.At.Seconds(), v.Rate,
		v.P50.Round(time.Microsecond), v.P99.Round(time.Microsecond), v.Errors)
}

func (l *liveLine) clear() {
	if l != nil {
		fmt.Fprint(l.out, clearLine)
	}
}
