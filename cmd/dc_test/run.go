package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/loadtest"
)

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	opts, set := newOptions()
	if err := set.ParseFlags(args, stdout); err != nil {
		return err
	}
	for _, name := range set.UnknownVariables() {
		fmt.Fprintf(stderr, "%s: environment variable %s is ignored: there is no flag of that name\n", program, name)
	}
	if err := opts.finish(set); err != nil {
		return err
	}
	if err := opts.tls.Needed("-connect", opts.connect); err != nil {
		return err
	}
	if err := opts.tls.Load(slog.New(slog.NewTextHandler(stderr, nil))); err != nil {
		return err
	}
	opts.tls.Connecting(opts.connect)
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
		Timeout: o.timeout, TimeoutVar: o.timeoutVar, MinTimeout: o.minTimeout,
		Progress: o.progress, Out: stdout,
	})
	if result.Ops > 0 {
		fmt.Fprintln(stdout, result)
	}
	var wrong *loadtest.WrongAnswer
	switch {
	case ctx.Err() != nil:
		return config.ErrInterrupted
	case errors.As(err, &wrong) && wrong.Outlived:
		return config.Hint(err, "If the server raises short timeouts (-mintimeout), give dc_test the same -mintimeout.")
	case err != nil:
		return err
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
	if o.timeoutGiven {
		cfg.PreloadTimeout = max(o.timeout, time.Millisecond)
	}
	var report *reportFile
	if o.report != "" {
		var err error
		if report, err = newReportFile(o.report); err != nil {
			return err
		}
		defer report.close()
	}
	line := newLiveLine(stderr, o.duration)
	if line != nil {
		cfg.Live = line.show
	}
	result, err := loadtest.RunBench(ctx, cfg)
	line.clear()
	switch {
	case err != nil && ctx.Err() != nil:
		return config.ErrInterrupted
	case err != nil:
		return err
	}
	if o.json {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		err = enc.Encode(result)
	} else {
		err = result.Print(stdout)
	}
	if err == nil && report != nil {
		err = report.write(func(w io.Writer) error {
			return result.Report(w, program+" -bench", program+" "+config.Version())
		})
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return config.ErrInterrupted
	case result.Total.Good == 0:
		return errors.New("no request succeeded")
	}
	return nil
}
