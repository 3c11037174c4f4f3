package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

const (
	scaleData    = 1024
	scaleCallers = 64             // of a task
	scaleFillers = 256            // requests under way at each node while it is filled or emptied
	scaleTimeout = 24 * time.Hour // of what is filled in
	addTimeout   = time.Second    // of what is added in a task, so that it hardly makes a farm larger
)

// A farm is one node or a cluster, and the sessions that it was filled with. They are numbered; what is added later has
// numbers from 1<<40 on.
type farm struct {
	servers  []*procs.Server
	sessions int
	added    atomic.Uint64 // numbers given to what was added
}

func (f *farm) id(n uint64) []byte {
	id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, n))
	return id[:]
}

// scaleText is what data are pieces of.
var scaleText = func() []byte {
	text := make([]byte, 64<<10+scaleData)
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	return text
}()

func (f *farm) data(n uint64) []byte {
	from := n * 7919 % (64 << 10)
	return scaleText[from : from+scaleData]
}

// fill adds all sessions, each through one of the nodes.
func (f *farm) fill(ctx context.Context) error {
	return f.each(ctx, f.sessions, func(c *client.Client, n uint64) error {
		err := c.Add(ctx, f.id(n), f.data(n), scaleTimeout)
		for errors.Is(err, wire.Disconnected) { // it may be there, or not
			if err = c.Add(ctx, f.id(n), f.data(n), scaleTimeout); errors.Is(err, wire.MatchingSession) {
				return nil
			}
		}
		return err
	})
}

// keep removes the sessions above a number.
func (f *farm) keep(ctx context.Context, keep int) error {
	gone := uint64(keep)
	err := f.each(ctx, f.sessions-keep, func(c *client.Client, n uint64) error {
		err := c.Remove(ctx, f.id(gone+n))
		for errors.Is(err, wire.Disconnected) {
			if err = c.Remove(ctx, f.id(gone+n)); errors.Is(err, wire.NotOK) {
				return nil
			}
		}
		return err
	})
	f.sessions = keep
	return err
}

// each calls do for every number below a limit, many at a time.
func (f *farm) each(ctx context.Context, limit int, do func(c *client.Client, n uint64) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var next atomic.Uint64
	var wg sync.WaitGroup
	for _, s := range f.servers {
		c, err := client.New(s.Listen.String(), client.WithTimeout(30*time.Second))
		if err != nil {
			return err
		}
		defer c.Close()
		for range scaleFillers {
			wg.Go(func() {
				for n := next.Add(1) - 1; n < uint64(limit) && ctx.Err() == nil; n = next.Add(1) - 1 {
					if err := do(c, n); err != nil {
						stop(fmt.Errorf("session %d of %d, through %s: %w", n, limit, s.Name, err))
					}
				}
			})
		}
	}
	wg.Wait()
	return context.Cause(ctx)
}

// A task is what callers ask of a farm, each on a connection that it keeps and one request after the other.
type task struct {
	adds int     // out of 100 requests; the others are GETs
	rate float64 // requests a second of all callers; 0 is as many as are answered
}

// An outcome is how a task went.
type outcome struct {
	seconds  float64
	get, add []time.Duration // latencies, in order
	cpu      time.Duration   // of all servers
	errors   []error
}

func (o *outcome) rate() float64 { return float64(len(o.get)+len(o.add)) / o.seconds }

// cpuEach is in microseconds.
func (o *outcome) cpuEach() float64 {
	return float64(o.cpu.Microseconds()) / float64(max(1, len(o.get)+len(o.add)))
}

// quantile is in milliseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))].Microseconds()) / 1e3
}

// all are the latencies of both, in order.
func (o *outcome) all() []time.Duration {
	all := slices.Concat(o.get, o.add)
	slices.Sort(all)
	return all
}

// doFor has callers do a task until something else is over.
func (f *farm) doFor(ctx context.Context, k task, other func()) *outcome {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan *outcome, 1)
	go func() { done <- f.do(ctx, k) }()
	other()
	cancel()
	return <-done
}

// do has callers spread over the nodes work until ctx is done.
func (f *farm) do(ctx context.Context, k task) *outcome {
	var wg sync.WaitGroup
	callers := make([]*caller, scaleCallers)
	before := f.cpu()
	began := time.Now()
	for i := range callers {
		c := &caller{f: f, task: k, to: f.servers[i%len(f.servers)].Listen, random: rand.New(rand.NewPCG(rand.Uint64(), 0))}
		if k.rate > 0 {
			c.period = time.Duration(scaleCallers / k.rate * float64(time.Second))
			c.due = began.Add(c.period * time.Duration(i) / scaleCallers)
		}
		callers[i] = c
		wg.Go(func() { c.err = c.run(ctx) })
	}
	wg.Wait()
	o := &outcome{seconds: time.Since(began).Seconds(), cpu: f.cpu() - before}
	for _, c := range callers {
		o.get, o.add = append(o.get, c.get...), append(o.add, c.add...)
		if c.err != nil {
			o.errors = append(o.errors, c.err)
		}
	}
	slices.Sort(o.get)
	slices.Sort(o.add)
	return o
}

// cpu is how much processor time the servers that run have used.
func (f *farm) cpu() (sum time.Duration) {
	for _, s := range f.servers {
		if u, err := usageOf(s); err == nil {
			sum += u.cpu
		}
	}
	return sum
}

// A caller has one request under way at a time.
type caller struct {
	task
	f        *farm
	to       wire.Address
	random   *rand.Rand
	period   time.Duration // between its requests, 0 when they follow each other
	due      time.Time     // when it asks next
	out, req []byte
	answer   wire.Message
	get, add []time.Duration
	err      error
}

// run ends with the first answer that is not as it should be.
func (c *caller) run(ctx context.Context) error {
	conn, err := c.to.Dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := wire.NewReader(conn, wire.Responses)
	answered := time.Now()
	for {
		if c.period > 0 {
			time.Sleep(time.Until(c.due))
		}
		if ctx.Err() != nil {
			return nil
		}
		// One that is late because the one before took so long has waited since it was due.
		asked := time.Now()
		if c.period > 0 && answered.After(c.due) {
			asked = c.due
		}
		c.due = c.due.Add(c.period)
		isAdd := c.random.IntN(100) < c.adds
		if isAdd {
			err = c.askAdd(conn, answers)
		} else {
			err = c.askGet(conn, answers)
		}
		if err != nil {
			return err
		}
		answered = time.Now()
		if isAdd {
			c.add = append(c.add, answered.Sub(asked))
		} else {
			c.get = append(c.get, answered.Sub(asked))
		}
	}
}

func (c *caller) askAdd(conn net.Conn, answers *wire.Reader) error {
	n := 1<<40 + c.f.added.Add(1)
	c.req = wire.AppendAdd(c.req[:0], c.f.id(n), c.f.data(n), addTimeout)
	if err := c.ask(conn, answers, wire.OpAdd); err != nil {
		return err
	}
	return wire.ParseStatus(c.answer.Payload)
}

func (c *caller) askGet(conn net.Conn, answers *wire.Reader) error {
	n := c.random.Uint64N(uint64(c.f.sessions))
	c.req = append(c.req[:0], c.f.id(n)...)
	if err := c.ask(conn, answers, wire.OpGet); err != nil {
		return err
	}
	data, err := wire.ParseGet(c.answer.Payload)
	if err == nil && !bytes.Equal(data, c.f.data(n)) {
		err = errors.New("GET was answered with other data")
	}
	return err
}

func (c *caller) ask(conn net.Conn, answers *wire.Reader, op wire.Op) error {
	c.out = wire.AppendMessage(c.out[:0], &wire.Message{Op: op, Payload: c.req})
	if _, err := conn.Write(c.out); err != nil {
		return err
	}
	return answers.Read(&c.answer)
}
