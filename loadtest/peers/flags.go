package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distcache/distcache/internal/config"
)

const program = "peers"

const intro = `usage: peers [flags]

Puts the same work on distcache, etcd and redis, each on three nodes on this machine, in turns, and prints
how they compare. What goes on is told on standard error. Needs Go, to build dc_server; etcd and
redis-server are left out when they are not installed.`

// options are the values of the flags.
type options struct {
	rounds   uint64
	duration time.Duration
	size     uint64
	sessions uint64
	works    []work
	only     []string
	dir      string
	format   string
	syncs    bool
}

// Bounds of the flags' values.
const (
	maxRounds   = 1000
	maxSessions = 10_000_000
	maxSize     = 30_000 // of the data in a session; with an id, distcache takes little more
)

func newOptions() (*options, *config.Set) {
	o := &options{rounds: 5, duration: 2 * time.Second, size: 1024, sessions: 10_000, format: "text", syncs: true}
	set := config.New(program, intro)
	set.Group("What")
	set.List("works", "WORK,…",
		"add or get with a number of callers, such as add64, or several with commas between them",
		"what is done, in this order: "+defaultWorks+" unless given", o.addWork)
	set.List("only", "NAME,…", kindNames()+", or several of them with commas between them",
		"which are measured: "+kindNames()+"; all unless given", o.addKind)
	set.Uint64(&o.size, maxSize, "size", "bytes of data in a session")
	set.Uint64(&o.sessions, maxSessions, "sessions", "how many sessions are put there to be read, if any are read")
	set.Group("How")
	set.Uint64(&o.rounds, maxRounds, "rounds", "how often all of it is done")
	set.Duration(&o.duration, "duration", "for how long each work is measured, each time")
	set.Bool(&o.syncs, "syncs", "count how often the servers sync the disk, in a pass of its own under strace; "+
		"-syncs=false leaves it out (default true)")
	set.String(&o.dir, "dir", "DIR", "the path of a directory",
		"where the servers' files go, in a directory that is made and removed; by default where temporary files go. "+
			"It should be on the kind of disk that is of interest")
	set.Choice(&o.format, []string{"text", "markdown"}, "format", "how the result is printed")
	return o, set
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return strings.Join(names, ", ")
}

func (o *options) addWork(name string) error {
	w, err := parseWork(name)
	if err == nil && !slices.Contains(o.works, w) {
		o.works = append(o.works, w)
	}
	return err
}

func (o *options) addKind(name string) error {
	if !slices.ContainsFunc(kinds, func(k kind) bool { return k.name == name }) {
		return fmt.Errorf("not %q", name)
	}
	o.only = append(o.only, name)
	return nil
}

// finish checks the values together, and fills in what was not given.
func (o *options) finish() error {
	switch {
	case o.rounds == 0:
		return config.Usagef("-rounds takes a number above 0")
	case o.size == 0:
		return config.Usagef("-size takes a number above 0: a session is never empty")
	case o.sessions == 0:
		return config.Usagef("-sessions takes a number above 0")
	}
	if len(o.works) == 0 {
		for _, name := range config.Words(defaultWorks) {
			if err := o.addWork(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// wanted are the kinds that are to be measured, in the order of the report.
func (o *options) wanted() []kind {
	var list []kind
	for _, k := range kinds {
		if len(o.only) == 0 || slices.Contains(o.only, k.name) {
			list = append(list, k)
		}
	}
	return list
}

// reads tells whether any work reads.
func (o *options) reads() bool {
	return slices.ContainsFunc(o.works, func(w work) bool { return w.op == opGet })
}

// adds are the works that write.
func (o *options) adds() []work {
	return slices.DeleteFunc(slices.Clone(o.works), func(w work) bool { return w.op != opAdd })
}

// estimate is about how long it takes with that many contestants.
func (o *options) estimate(entrants int) time.Duration {
	const startAndStop = 5 * time.Second
	part := o.duration + o.duration/warmUp
	all := time.Duration(o.rounds) * (startAndStop + time.Duration(len(o.works))*part)
	if o.syncs {
		all += startAndStop + time.Duration(len(o.adds()))*part
	}
	return time.Duration(entrants) * all
}
