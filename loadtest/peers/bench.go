package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/loadtest"
)

const (
	// preloaders is how many callers preload sessions.
	preloaders = 64
	// warmUp: a work runs for this part (a quarter) of its time before it is measured.
	warmUp = 4
)

// findings are what a bench has found.
type findings struct {
	samples samples
	syncs   samples  // from the pass that counts syncs
	noSyncs string   // why there are none
	trouble []string // errors besides those of requests
}

// A bench runs all rounds and keeps their findings.
type bench struct {
	o        *options
	entrants []entrant
	dir      string
	say      func(string, ...any)
	strace   string // path of the program; "" when not installed
	findings
}

func newBench(o *options, entrants []entrant, dir string, say func(string, ...any)) *bench {
	return &bench{o: o, entrants: entrants, dir: dir, say: say, strace: findStrace()}
}

// run runs everything. It reports what could not be done in a round, goes on, and returns an error in the end.
func (b *bench) run(ctx context.Context) error {
	b.say("this takes about %v", b.o.estimate(len(b.entrants)).Round(time.Second))
	for round := range int(b.o.rounds) {
		for i := range b.entrants {
			e := b.entrants[(round+i)%len(b.entrants)]
			b.say("round %d of %d: %s", round+1, b.o.rounds, e.name)
			if err := b.measure(ctx, round, e); ctx.Err() != nil {
				return config.ErrInterrupted
			} else if err != nil {
				b.fail("round %d: %v", round+1, err)
			}
		}
	}
	if err := b.countSyncs(ctx); err != nil {
		return err
	}
	if len(b.trouble) > 0 {
		return errors.New("not all could be measured: see above")
	}
	return nil
}

func (b *bench) fail(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	b.trouble = append(b.trouble, what)
	b.say("%s", what)
}

// measure does all works on one contestant, in one round.
func (b *bench) measure(ctx context.Context, round int, e entrant) error {
	return b.with(ctx, e, nil, func(f *farm, lb *loadtest.Bench) error {
		for _, w := range b.o.works {
			s, err := b.sample(ctx, round, e, f, w, lb, readUsage)
			if err != nil {
				return err
			}
			b.samples = append(b.samples, s)
			b.say("  %-8s %8s/s, median %s ms%s", w, number(0, s.rate), number(3, s.p50), errorNote(s.errors))
		}
		return nil
	})
}

// sample does a work on running servers, and calls read for what they have used.
func (b *bench) sample(ctx context.Context, round int, e entrant, f *farm, w work, lb *loadtest.Bench,
	read func(*farm) (usage, error)) (sample, error) {
	m, err := b.work(ctx, f, w, lb, read)
	if err != nil {
		return sample{}, err
	}
	if m.usedUnknown != nil && !errors.Is(m.usedUnknown, errors.ErrUnsupported) {
		b.fail("%s, %s: %v", e.name, w, m.usedUnknown)
	}
	return sample{round, e.name, w, newFigures(m)}, nil
}

func errorNote(t tally) string {
	if len(t) == 0 {
		return ""
	}
	return fmt.Sprintf(", %d ERRORS", t.total())
}

// with runs a contestant's servers while fn runs, with preloaded sessions if any work reads. With a tracer, the servers
// run under strace.
func (b *bench) with(ctx context.Context, e entrant, t *tracer, fn func(*farm, *loadtest.Bench) error) error {
	dir := filepath.Join(b.dir, e.name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var prefix func(string) []string
	if t != nil {
		t.dir, prefix = dir, t.prefix
	}
	f, err := startFarm(ctx, e.kind, e.path, dir, prefix)
	if err != nil {
		return err
	}
	defer f.stop()
	lb, err := b.load(ctx, f, t == nil && b.o.reads())
	if err != nil {
		return fmt.Errorf("%s: %w", e.name, err)
	}
	return fn(f, lb)
}

// load makes the load for a farm ready, and preloads sessions if reads is set.
func (b *bench) load(ctx context.Context, f *farm, reads bool) (*loadtest.Bench, error) {
	clients, err := f.contestant.connect(preloaders)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	cfg := loadtest.BenchConfig{Open: callersOf(clients, preloaders), Workers: 1, Pipeline: 1, Duration: b.o.duration,
		Mix: addMix, DataMin: int(b.o.size), DataMax: int(b.o.size), RequestTimeout: requestTimeout,
		Timeout: sessionTimeout, PreloadTimeout: sessionTimeout}
	if reads {
		cfg.Sessions, cfg.Mix = int(b.o.sessions), getMix
	}
	return loadtest.NewBench(ctx, cfg)
}

// A measurement is the result of a work. Errors count from the work's beginning, everything else from the end of the
// warm-up.
type measurement struct {
	*loadtest.Result
	errors      tally
	used        *usage // nil when not known
	usedUnknown error  // why not
}

// work does one work. It calls read before and after the time that is measured.
func (b *bench) work(ctx context.Context, f *farm, w work, lb *loadtest.Bench,
	read func(*farm) (usage, error)) (*measurement, error) {
	clients, err := f.contestant.connect(w.callers)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	lb.Open, lb.Workers, lb.Mix, lb.Duration = callersOf(clients, w.callers), w.callers, w.mix(), b.o.duration/warmUp
	warm, err := lb.Run(ctx)
	if err != nil {
		return nil, err
	}
	m := &measurement{}
	before, beforeErr := read(f)
	lb.Duration = b.o.duration
	if m.Result, err = lb.Run(ctx); err != nil {
		return nil, err
	}
	after, afterErr := read(f)
	if m.usedUnknown = errors.Join(beforeErr, afterErr); m.usedUnknown == nil {
		m.used = after.since(before)
	}
	m.errors = tally(m.Errors).plus(warm.Errors)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return m, f.check()
}

// A tally counts errors by what they say.
type tally map[string]uint64

func (t tally) plus(other tally) tally {
	for what, n := range other {
		t[what] += n
	}
	return t
}

func (t tally) total() (sum uint64) {
	for _, n := range t {
		sum += n
	}
	return sum
}

// countSyncs does the works that write once more, with the servers under strace.
func (b *bench) countSyncs(ctx context.Context) error {
	switch {
	case !b.o.syncs:
		b.noSyncs = "not counted: -syncs=false"
	case len(b.o.adds()) == 0:
		b.noSyncs = "not counted: none of the works writes"
	case b.strace == "":
		b.noSyncs = "not counted: there is no strace in $PATH (Debian has it in the package strace)"
	}
	if b.noSyncs != "" {
		b.say("syncs of the disk are %s", b.noSyncs)
		return nil
	}
	for _, e := range b.entrants {
		b.say("syncs of the disk, counted: %s", e.name)
		t := &tracer{strace: b.strace}
		err := b.with(ctx, e, t, func(f *farm, lb *loadtest.Bench) error {
			for _, w := range b.o.adds() {
				s, err := b.sample(ctx, 0, e, f, w, lb, t.read)
				if err != nil {
					return err
				}
				b.syncs = append(b.syncs, s)
				b.say("  %-8s %s per answer%s", w, number(3, s.syncs), errorNote(s.errors))
			}
			return nil
		})
		if ctx.Err() != nil {
			return config.ErrInterrupted
		} else if err != nil {
			b.fail("syncs: %v", err)
		}
	}
	return nil
}
