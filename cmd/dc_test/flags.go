package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
)

const program = "dc_test"

const intro = `usage: dc_test -connect ADDR [flags]
       dc_test -connect ADDR -bench [flags]

Checks a dc_server or dc_client: random operations on sessions of its own, each answer held against
what must be so. The first wrong answer ends it, with a report and exit status 1.

With -bench it measures throughput and latency instead.

ADDR is IP:HOST:PORT, UNIX:PATH or FD:N.`

// options are dc_test's flags.
type options struct {
	connect    []wire.Address
	sessions   uint64
	dataMin    uint64
	dataMax    uint64
	timeout    time.Duration
	timeoutVar time.Duration
	minTimeout time.Duration
	ops        uint64
	workers    uint64
	persistent bool
	progress   uint64

	bench        bool
	timeoutGiven bool
	pipeline     uint64
	duration     time.Duration
	mix          loadtest.Mix
	size         sizes
	json         bool
	report       string
	tls          *config.TLS
}

// sizes are a range of data sizes.
type sizes struct{ min, max uint64 }

// The bounds of what flags take.
const (
	maxSessions = 100_000_000
	maxSeconds  = uint64(wire.MaxTimeout / time.Second)
)

// What differs with -bench.
const (
	benchSessions = 10_000
	benchWorkers  = 8
	benchTimeout  = 10 * time.Minute
)

func newOptions() (*options, *config.Set) {
	o := &options{
		sessions: 10, dataMin: 50, dataMax: 2100, timeout: 60 * time.Second, timeoutVar: 5 * time.Second,
		workers: 1, pipeline: 1, duration: 10 * time.Second, size: sizes{1024, 1024},
	}
	o.mix[wire.OpAdd], o.mix[wire.OpGet] = 10, 90
	set := config.New(program, intro)
	set.Group("Where")
	set.List("connect", "ADDR", "an address such as IP:127.0.0.1:9001 or UNIX:/tmp/scache",
		"the server to test; with commas between them, or repeated, several, over which the workers are spread",
		func(word string) error {
			a, err := wire.ParseAddress(word)
			if err == nil {
				err = a.CheckDial()
			}
			o.connect = append(o.connect, a)
			return err
		})
	set.Bool(&o.persistent, "persistent", "keep connections; without it every request has one of its own")
	set.Count(&o.workers, loadtest.MaxWorkers, "workers",
		fmt.Sprintf("how many work at the same time, each on sessions and a connection of its own, up to %d; with -bench %d unless given", loadtest.MaxWorkers, benchWorkers))
	set.Group("Sessions")
	set.Count(&o.sessions, maxSessions, "sessions",
		fmt.Sprintf("how many each worker plays with; with -bench, how many are put there to be read by all, %d unless given", benchSessions))
	set.Count(&o.dataMin, wire.MaxAddData, "datamin", "the fewest bytes of data in a session")
	set.Count(&o.dataMax, wire.MaxAddData, "datamax", "the most bytes of data in a session")
	seconds(set, &o.timeout, "timeout", fmt.Sprintf("the time sessions live, in seconds; "+
		"with -bench %.0f unless given, and for those put there to be read as much longer as -duration", benchTimeout.Seconds()))
	seconds(set, &o.timeoutVar, "timevar", "by how many seconds that is longer or shorter, at random, but never below 0")
	set.Group("Checking")
	set.Uint64(&o.ops, 1<<62, "ops", "how many operations, all workers together; 0 stands for 10 times the square of -sessions")
	set.Uint64(&o.progress, 1<<62, "progress", "print a line every so many operations; 0 for none")
	set.Millis(&o.minTimeout, 0, wire.MaxTimeout, "mintimeout",
		"what the server or proxy raises shorter timeouts to, if it was told to with its own -mintimeout: sessions must then live so long")
	set.Group("Measuring")
	set.Bool(&o.bench, "bench", "measure instead of checking")
	set.Duration(&o.duration, "duration", "for how long")
	set.Func("mix", "MIX", "operations with their weights, such as add=10,get=90", o.mix.String(),
		"how often to add, get, remove and have; removes take what was added", func(text string) (err error) {
			o.mix, err = loadtest.ParseMix(text)
			return err
		})
	set.Func("size", "BYTES", fmt.Sprintf("a number of bytes from 1 to %d, or two as in 300-2000", wire.MaxAddData), "1024",
		"the data in a session: its size, or least and greatest size", o.size.set)
	set.Count(&o.pipeline, loadtest.MaxPipeline, "pipeline",
		fmt.Sprintf("requests in flight on each worker's connection, up to %d; above 1, connections are kept as with -persistent", loadtest.MaxPipeline))
	set.Bool(&o.json, "json", "print the result as JSON, with a time series in steps of "+loadtest.Interval.String())
	set.String(&o.report, "report", "FILE", "the path of a file",
		"write a page of HTML with throughput over time and the distribution of latencies drawn; it replaces a file that is there")
	o.tls = set.TLS(false)
	return o, set
}

// seconds adds a flag that takes a whole number of seconds, as the original tool's do.
func seconds(set *config.Set, p *time.Duration, name, usage string) {
	takes := fmt.Sprintf("a number of seconds from 0 to %d", maxSeconds)
	set.Func(name, "SECS", takes, strconv.FormatInt(int64(*p/time.Second), 10), usage, func(text string) error {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil || n > maxSeconds {
			return fmt.Errorf("not %q", text)
		}
		*p = time.Duration(n) * time.Second
		return nil
	})
}

func (s *sizes) set(text string) error {
	low, high, isRange := strings.Cut(text, "-")
	if !isRange {
		high = low
	}
	var err1, err2 error
	s.min, err1 = strconv.ParseUint(low, 10, 32)
	s.max, err2 = strconv.ParseUint(high, 10, 32)
	if err1 != nil || err2 != nil || s.min < 1 || s.max < s.min || s.max > wire.MaxAddData {
		return fmt.Errorf("not %q", text)
	}
	return nil
}

// finish checks what no flag can by itself, and fills in what depends on others.
func (o *options) finish(set *config.Set) error {
	if len(o.connect) == 0 {
		return config.Usagef("which server? -connect takes an address such as IP:127.0.0.1:9001 or UNIX:/tmp/scache")
	}
	only := map[bool][]string{
		true:  {"ops", "progress", "datamin", "datamax", "timevar", "mintimeout"},
		false: {"duration", "mix", "size", "pipeline", "json", "report"},
	}
	for _, name := range only[o.bench] {
		if set.OnCommandLine(name) && o.bench {
			return config.Usagef("-%s is for checking, and does not go with -bench", name)
		} else if set.OnCommandLine(name) {
			return config.Usagef("-%s goes with -bench only", name)
		}
	}
	if o.bench {
		unless(set, "sessions", &o.sessions, benchSessions)
		unless(set, "workers", &o.workers, benchWorkers)
		unless(set, "timeout", &o.timeout, benchTimeout)
		o.timeoutGiven = set.Given("timeout")
		o.persistent = o.persistent || o.pipeline > 1
	}
	for _, a := range o.connect {
		if a.Network() == "fd" && (!o.persistent || o.workers != 1 || o.bench || len(o.connect) > 1) {
			return config.Usagef("-connect %v is one connection, which can't be opened again: it goes with -persistent, without -bench, and with one worker", a)
		}
	}
	switch {
	case o.dataMax < o.dataMin:
		return config.Usagef("-datamax takes a number not below -datamin, which is %d, not %d", o.dataMin, o.dataMax)
	case o.timeout+o.timeoutVar > wire.MaxTimeout:
		return config.Usagef("-timeout and -timevar together take at most %d seconds, the protocol's longest timeout", maxSeconds)
	}
	if o.ops == 0 {
		o.ops = 10 * o.sessions * o.sessions
	}
	return nil
}

// unless sets what was not given.
func unless[T any](set *config.Set, name string, p *T, v T) {
	if !set.Given(name) {
		*p = v
	}
}
