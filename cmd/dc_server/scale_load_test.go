package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/distcache/distcache/wire"
)

const (
	scaleCallers = 64          // of a task
	addTimeout   = time.Second // of what is added in a task, so that it hardly makes a farm larger
)

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
	faults   int64           // as in usage
	refused  int             // requests that were answered DISCONNECTED
	errors   []error         // with which callers ended
}

func (o *outcome) rate() float64 { return float64(len(o.get)+len(o.add)) / o.seconds }

// each is a sum's part for each answer.
func (o *outcome) each(sum int64) float64 {
	return float64(sum) / float64(max(1, len(o.get)+len(o.add)))
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
	before := f.usage()
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
	o := &outcome{seconds: time.Since(began).Seconds()}
	after := f.usage()
	o.cpu, o.faults = after.cpu-before.cpu, after.faults-before.faults
	for _, c := range callers {
		o.get, o.add = append(o.get, c.get...), append(o.add, c.add...)
		o.refused += c.refused
		if c.err != nil {
			o.errors = append(o.errors, c.err)
		}
	}
	slices.Sort(o.get)
	slices.Sort(o.add)
	return o
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
	refused  int
	err      error
}

// run ends with the first answer that is not as it should be; DISCONNECTED may be.
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
		answered = time.Now()
		switch {
		case errors.Is(err, wire.Disconnected):
			c.refused++
		case err != nil:
			return err
		case isAdd:
			c.add = append(c.add, answered.Sub(asked))
		default:
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
