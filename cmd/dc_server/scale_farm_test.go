package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
)

const (
	scaleData    = 1024
	scaleCallers = 64             // of a task
	scaleTimeout = 24 * time.Hour // of what is filled in
	addTimeout   = time.Second    // of what is added in a task, so that it hardly makes a farm larger
)

// A farm is one node or a cluster, and the sessions that it was filled with.
type farm struct {
	servers []*procs.Server
	load    *loadtest.Bench
}

// A task is what callers ask of a farm, each on a connection that it keeps and one request after the other.
type task struct {
	adds int     // out of 100 requests; the others are GETs
	rate float64 // requests a second of all callers; 0 is as many as are answered
}

// An outcome is how a task went.
type outcome struct {
	*loadtest.Result
	cpu    time.Duration // of all servers
	faults int64         // as in procs.Usage
}

// each is a sum's part for each answer.
func (o *outcome) each(sum int64) float64 { return float64(sum) / float64(max(1, o.Total.Good)) }

// refused are the requests that were answered DISCONNECTED.
func (o *outcome) refused() uint64 { return o.Errors[wire.Disconnected.Name()] }

// p99 is an operation's, in ms.
func (o *outcome) p99(op wire.Op) float64 {
	for _, r := range o.Ops {
		if r.Op == op.String() {
			return r.Latency.P99 / 1e3
		}
	}
	return 0
}

func (f *farm) addresses() (list []wire.Address) {
	for _, s := range f.servers {
		list = append(list, s.Listen)
	}
	return list
}

// fill adds all sessions, each through one of the nodes.
func (f *farm) fill(ctx context.Context, sessions int) (err error) {
	f.load, err = loadtest.NewBench(ctx, loadtest.BenchConfig{
		Addresses: f.addresses(), Workers: scaleCallers, Pipeline: 1, Persistent: true, Duration: scaleTimeout,
		Mix: loadtest.Mix{wire.OpGet: 1}, DataMin: scaleData, DataMax: scaleData, Sessions: sessions,
		Timeout: addTimeout, PreloadTimeout: scaleTimeout, RequestTimeout: 30 * time.Second,
	})
	return err
}

// do has callers spread over the nodes do a task until something else is over.
func (f *farm) do(ctx context.Context, k task, other func()) (*outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f.load.Mix = loadtest.Mix{wire.OpAdd: k.adds, wire.OpGet: 100 - k.adds}
	f.load.Rate, f.load.Open = k.rate, nil
	if k.rate > 0 {
		f.load.Open = loadtest.Servers(f.addresses())
	}
	go func() {
		other()
		cancel()
	}()
	before := f.usage()
	r, err := f.load.Run(ctx)
	after := f.usage()
	return &outcome{r, after.CPU - before.CPU, after.Faults - before.Faults}, err
}

// settle waits until every node has what was filled in and nothing more, in its file.
func (f *farm) settle(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(f.servers); {
		st, err := f.servers[i].Status(ctx)
		if err == nil && st.Sessions == f.load.Sessions && st.Flushed >= st.Applied {
			i++
			continue
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s has not settled with %d sessions: %+v, %v",
				f.servers[i].Name, f.load.Sessions, st, err)
		case <-tick.C:
		}
	}
	return nil
}

// usage is what the servers have used that run, all together.
func (f *farm) usage() (sum procs.Usage) {
	for _, s := range f.servers {
		if u, err := s.Usage(); err == nil {
			sum.CPU += u.CPU
			sum.Faults += u.Faults
		}
	}
	return sum
}

// warm reads files of every node, so that the system has them in memory, whatever it has given back meanwhile: what is
// measured then is the node and not what else the machine's memory was needed for.
func (f *farm) warm(pattern string) error {
	for _, s := range f.servers {
		files, err := filepath.Glob(filepath.Join(s.Dir, pattern))
		if err != nil {
			return err
		}
		for _, name := range files {
			if err := readAll(name); err != nil {
				return err
			}
		}
	}
	return nil
}

func readAll(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = io.Copy(io.Discard, file)
	return err
}
