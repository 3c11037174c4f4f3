package main

import (
	"bytes"
	"fmt"
	"os"
	"time"

	"github.com/distcache/distcache/internal/procs"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// follower is a node that does not lead, or the only one.
func (s *scale) follower(f *farm) *procs.Server {
	s.Helper()
	leader := serving(s.T, s.ctx, f.servers...)
	for _, server := range f.servers {
		if server != leader {
			return server
		}
	}
	return leader
}

func (s *scale) status(server *procs.Server) raftstore.Status {
	s.Helper()
	st, err := server.Status(s.ctx)
	s.check(err)
	return st
}

func (s *scale) usage(server *procs.Server) procs.Usage {
	s.Helper()
	u, err := server.Usage()
	s.check(err)
	return u
}

// restarts ends a node in the middle of writes and starts it again.
func (s *scale) restarts() {
	for _, end := range []struct {
		how string
		do  func(*procs.Server)
	}{
		{"kill -9", (*procs.Server).Kill},
		{"SIGTERM", func(server *procs.Server) { s.check(server.Stop()) }},
	} {
		var wall, cpu [2]series
		for range scaleRounds {
			for i, f := range []*farm{s.few, s.many} {
				server := s.follower(f)
				s.check(f.warm("*.db"))
				s.do(f, task{adds: 100}, func() {
					s.sleep(time.Second)
					end.do(server)
				})
				took, used := s.firstAnswer(f, server)
				wall[i], cpu[i] = append(wall[i], took.Seconds()), append(cpu[i], used.Seconds())
				if i == 1 {
					s.Logf("restart after %s: %v", end.how, took)
				}
				serving(s.T, s.ctx, f.servers...)
				s.check(f.settle(s.ctx))
			}
		}
		s.found.add("restart after "+end.how+", s", wall[0], wall[1]).atMost(3, wall[1])
		s.found.add("restart after "+end.how+", processor time, s", cpu[0], cpu[1])
	}
	s.memory("after restarts")
}

// firstAnswer starts a node and tells how long it took, and how much processor time, until it could answer.
func (s *scale) firstAnswer(f *farm, server *procs.Server) (took, cpu time.Duration) {
	s.Helper()
	began := time.Now()
	s.check(server.Start())
	c, err := client.New(server.Listen.String(), client.WithTimeout(10*time.Second))
	s.check(err)
	defer c.Close()
	id, want := f.load.Session(0)
	for {
		data, err := c.Get(s.ctx, id)
		if err == nil {
			took, cpu = time.Since(began), s.usage(server).CPU
			if !bytes.Equal(data, want) {
				s.Error("the first answer is other data")
			}
			return took, cpu
		}
		if !server.Running() || s.ctx.Err() != nil {
			s.Fatalf("it does not answer: %v", err)
		}
		s.sleep(2 * time.Millisecond)
	}
}

// third is a task at a third of the rate that the farm can do: what goes on beside it has the rest of the machine.
func (s *scale) third(f *farm, adds int) task {
	s.Helper()
	o := s.run(f, task{adds: adds}, scaleTime)
	s.check(f.settle(s.ctx))
	return task{adds: adds, rate: o.Total.PerSecond / 3}
}

// joins has new nodes join, one after the other, while there is a load.
func (s *scale) joins() {
	f, k := s.many, s.third(s.many, 50)
	var seconds, cpu series
	var rate, get, add, refused [2]series
	note := func(i int, o *outcome) {
		rate[i], refused[i] = append(rate[i], o.Total.PerSecond), append(refused[i], float64(o.refused()))
		get[i] = append(get[i], o.p99(wire.OpGet))
		add[i] = append(add[i], o.p99(wire.OpAdd))
	}
	for i := range scaleRepeats {
		note(0, s.run(f, k, scaleLonger))
		server, err := procs.NewServer(s.cfg, fmt.Sprintf("joiner%d", i))
		s.check(err)
		server.Flags("-peer", server.Peer, "-join", f.servers[0].Peer, "-sessions", "0")
		note(1, s.until(f, k, func() {
			began := time.Now()
			startAll(s.T, []*procs.Server{server})
			s.joined(f, server.Name)
			seconds = append(seconds, time.Since(began).Seconds())
			cpu = append(cpu, s.usage(server).CPU.Seconds())
		}))
		s.Logf("%s joined in %.1f s", server.Name, seconds[i])
		a := server.Admin()
		s.check(a.Leave(s.ctx))
		a.Close()
		_, err = server.Wait(s.ctx)
		s.check(err)
		s.check(os.RemoveAll(server.Dir))
		s.check(f.settle(s.ctx))
	}
	s.during.add("a node joins, s", nil, seconds).atMost(30, seconds)
	s.during.add("processor time of the new node, s", nil, cpu)
	s.during.add(fmt.Sprintf("%.0f GET and ADD a second, answered", k.rate), rate[0], rate[1])
	s.during.add("and DISCONNECTED", refused[0], refused[1])
	r := s.during.add("GET, p99, ms", get[0], get[1])
	r.atMost(2, r.ratio())
	r = s.during.add("ADD, p99, ms", add[0], add[1])
	r.atMost(2, r.ratio())
}

// joined waits until a node is a voter and has all but the newest writes.
func (s *scale) joined(f *farm, name string) {
	const near = 64 // log entries
	a := f.servers[0].Admin()
	defer a.Close()
	for s.ctx.Err() == nil {
		members, err := a.Members(s.ctx)
		s.check(err)
		for _, m := range members {
			if m.Name == name && m.Voter && m.Lag < near && m.Sessions >= f.load.Sessions {
				return
			}
		}
		s.sleep(50 * time.Millisecond)
	}
}

// compacts has the leader make its files smaller while there is a load: with all that it was filled with, several
// times, and after most of it was removed.
func (s *scale) compacts() {
	f, k := s.many, s.third(s.many, 100)
	s.compact(f, k, "full", scaleRepeats)
	s.check(f.load.Keep(s.ctx, f.load.Sessions/10))
	s.check(f.settle(s.ctx))
	s.compact(f, k, "a tenth left", 1)
}

func (s *scale) compact(f *farm, k task, what string, times int) {
	var seconds series
	var state, log, rate, refused, p99 [2]series
	for range times {
		before := s.run(f, k, scaleLonger)
		leader := serving(s.T, s.ctx, f.servers...)
		var c raftstore.Compacted
		during := s.until(f, k, func() {
			a := leader.Admin()
			defer a.Close()
			began := time.Now()
			var err error
			c, err = a.Compact(s.ctx)
			s.check(err)
			seconds = append(seconds, time.Since(began).Seconds())
		})
		for i, o := range []*outcome{before, during} {
			rate[i], refused[i] = append(rate[i], o.Total.PerSecond), append(refused[i], float64(o.refused()))
			p99[i] = append(p99[i], o.p99(wire.OpAdd))
			state[i] = append(state[i], float64([]int64{c.StateBefore, c.StateAfter}[i])/(1<<20))
			log[i] = append(log[i], float64([]int64{c.LogBefore, c.LogAfter}[i])/(1<<20))
		}
		s.check(f.settle(s.ctx))
	}
	s.during.add("compaction, "+what+", s", nil, seconds)
	s.during.add("state file, MiB, before and after it", state[0], state[1])
	s.during.add("log, MiB, before and after it", log[0], log[1])
	s.during.add(fmt.Sprintf("%.0f ADD a second, answered", k.rate), rate[0], rate[1])
	s.during.add("and DISCONNECTED", refused[0], refused[1])
	r := s.during.add("ADD, p99, ms", p99[0], p99[1])
	r.atMost(1.5, r.ratio())
}
