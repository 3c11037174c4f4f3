package raftstore

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// A fault does something to a simulation, and has it undone later.
type fault func(s *sim)

// simFaults are the kinds of faults, by the names that SIM_FAULTS takes.
var simFaults = map[string]fault{
	"kill":     func(s *sim) { s.killOne(false) },
	"power":    func(s *sim) { s.killOne(true) },
	"killall":  (*sim).killAll,
	"stop":     (*sim).stopOne,
	"cut":      (*sim).cutSome,
	"oneway":   func(s *sim) { s.oneWay(func(l *link, on bool) { l.cut.Store(on) }) },
	"refuse":   func(s *sim) { s.oneWay(func(l *link, on bool) { l.refuse.Store(on) }) },
	"delay":    (*sim).delay,
	"drop":     (*sim).drop,
	"transfer": (*sim).transferOne,
	"hasten":   (*sim).hastenOne,
	"lease":    (*sim).lease,
	"hang":     func(s *sim) { s.hangOne(false) },
	"suspend":  func(s *sim) { s.hangOne(true) },
	"wipe":     (*sim).wipeOne,
	"restore":  (*sim).restoreOne,
	"remove":   (*sim).removeOne,
	"join":     (*sim).joinOne,
	"move":     (*sim).moveOne,
	"ghost":    (*sim).ghost,
	"swap":     (*sim).swap,
	"clock":    (*sim).clock,
	"mutual":   (*sim).mutual,
}

// simKinds are the kinds that a list names: all but those with a - before them, if there are only such.
func simKinds(list string) (kinds []string, err error) {
	all := slices.Sorted(maps.Keys(simFaults))
	var only, but []string
	for _, k := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
		name, without := strings.CutPrefix(k, "-")
		if simFaults[name] == nil {
			return nil, fmt.Errorf("there is no kind of fault %q, only %s", name, strings.Join(all, ", "))
		}
		if without {
			but = append(but, name)
		} else {
			only = append(only, name)
		}
	}
	if len(only) == 0 {
		only = all
	}
	return slices.DeleteFunc(only, func(k string) bool { return slices.Contains(but, k) }), nil
}

// plan makes the nodes, and the faults with their times. A schedule has few kinds, several times each: most bugs need
// no more, and are found sooner.
func (s *sim) plan(kinds []string) {
	var chosen []string
	for range 1 + s.rng.IntN(4) {
		chosen = append(chosen, kinds[s.rng.IntN(len(kinds))])
	}
	if slices.Contains(chosen, "mutual") {
		chosen = slices.DeleteFunc(chosen, func(k string) bool { return !slices.Contains(withMutual, k) })
		s.planLone()
	} else {
		s.planCluster()
	}
	if slices.Contains(chosen, "restore") {
		// A leader finds it out that knows how far the log of the node reached. There is no promise for any other.
		chosen = []string{"restore"}
	}
	if slices.Contains(chosen, "clock") {
		chosen = slices.DeleteFunc(chosen, func(k string) bool { return !slices.Contains(withClock, k) })
	}
	slices.Sort(chosen)
	s.kinds = strings.Join(slices.Compact(slices.Clone(chosen)), " ")
	s.say("%d nodes, faults of %s", len(s.nodes), s.kinds)
	at := 20 * time.Millisecond
	for range 3 + s.rng.IntN(8) {
		kind, rng := chosen[s.rng.IntN(len(chosen))], rand.New(rand.NewPCG(s.rng.Uint64(), 0))
		s.queue = append(s.queue, action{at, func() {
			s.rng = rng // whatever the ones before have used
			s.faults[kind]++
			simFaults[kind](s)
		}})
		at += time.Duration(10+s.rng.IntN(100)) * time.Millisecond
	}
	s.queue = append(s.queue, action{at + time.Duration(s.rng.IntN(100))*time.Millisecond, func() {}})
}

// withMutual are the kinds of faults that go with nodes which join each other.
var withMutual = []string{"mutual", "kill", "power", "cut", "oneway", "delay", "drop", "hang"}

// withClock are the kinds of faults that go with a clock that is wrong. While all nodes are down nobody counts the time
// that passes, and when two of three are up again, one of which is hours behind, nobody can.
var withClock = []string{"clock", "cut", "oneway", "refuse", "delay", "drop", "transfer", "hasten", "lease", "hang", "suspend", "join"}

// planCluster makes three or five nodes of a cluster, and two machines that may join it.
func (s *sim) planCluster() {
	size := 3
	if s.rng.IntN(4) == 0 {
		size = 5
	}
	s.logBytes = 4 << 10
	if s.rng.IntN(2) == 0 {
		s.logBytes = 1 << 20
	}
	latency := []time.Duration{0, time.Millisecond, 4 * time.Millisecond}[s.rng.IntN(3)]
	var cluster []Node
	for i := range size {
		cluster = append(cluster, Node{fmt.Sprintf("n%d", i+1), fmt.Sprintf("10.0.0.%d:7000", i+1)})
	}
	for i, c := range cluster {
		n := &simNode{s: s, name: c.Name, address: c.Address, cluster: cluster, disk: newSimDisk(s.seed + uint64(i))}
		n.disk.latency = latency
		s.nodes = append(s.nodes, n)
	}
	for i := range 2 {
		n := &simNode{s: s, name: fmt.Sprintf("n%d", size+i+1), address: fmt.Sprintf("10.0.0.%d:7000", size+i+1), cluster: cluster,
			disk: newSimDisk(s.seed + uint64(size+i)), unused: true, moved: true}
		n.gone.Store(true)
		s.nodes = append(s.nodes, n)
	}
}

// some is a time in which faults last.
func (s *sim) some() time.Duration {
	return time.Duration(10+s.rng.IntN([]int{60, 150, 300}[s.rng.IntN(3)])) * time.Millisecond
}

// pick chooses a node that is up, the leader rather often; nil when there is none.
func (s *sim) pick() *simNode {
	if s.rng.IntN(5) < 2 {
		if l := s.leader(); l != nil {
			return l
		}
	}
	var up []*simNode
	for _, n := range s.nodes {
		if n.running() != nil {
			up = append(up, n)
		}
	}
	if len(up) == 0 {
		return nil
	}
	return up[s.rng.IntN(len(up))]
}

// clock has the wall clock of one machine jump, by up to a day. It is the same one all the time: what another's clock
// said some seconds ago still counts.
func (s *sim) clock() {
	n := s.pick()
	for _, m := range s.nodes {
		if m.skew.Load() != 0 {
			n = m
		}
	}
	if n == nil {
		return
	}
	by := time.Duration(s.rng.Int64N(int64(24 * time.Hour)))
	if s.rng.IntN(2) == 0 {
		by = -by
	}
	s.say("the clock of %s is off by %s", n.name, by)
	n.skew.Store(int64(by))
}

func (s *sim) killOne(power bool) {
	n := s.pick()
	if n == nil {
		return
	}
	s.say("kill %s, power off: %v", n.name, power)
	n.kill(power)
	s.later(s.some(), func() { s.say("start %s", n.name); n.restart() })
}

func (s *sim) killAll() {
	s.say("kill all")
	for _, n := range s.nodes {
		n.kill(false)
		s.later(s.some(), func() { s.say("start %s", n.name); n.restart() })
	}
}

func (s *sim) stopOne() {
	n := s.pick()
	if n == nil {
		return
	}
	s.say("stop %s", n.name)
	n.stop()
	s.later(s.some(), func() { s.say("start %s", n.name); n.restart() })
}

// each changes all links between two groups of nodes, or only those that lead from the first to the second.
func (s *sim) each(from, to []*simNode, back bool, how func(*link)) {
	for _, a := range from {
		for _, b := range to {
			s.fabric.change(a.name, b.name, how)
			if back {
				s.fabric.change(b.name, a.name, how)
			}
		}
	}
}

// parts divides the nodes in two, the one that was picked in the first part.
func (s *sim) parts() (a, b []*simNode) {
	n := s.pick()
	alone := s.rng.IntN(2) == 0
	for _, m := range s.nodes {
		if m == n || !alone && s.rng.IntN(3) == 0 {
			a = append(a, m)
		} else {
			b = append(b, m)
		}
	}
	return a, b
}

func names(nodes []*simNode) string {
	var list []string
	for _, n := range nodes {
		list = append(list, n.name)
	}
	return strings.Join(list, " ")
}

func (s *sim) cutSome() {
	a, b := s.parts()
	s.say("cut %s from %s", names(a), names(b))
	s.each(a, b, true, func(l *link) { l.cut.Store(true) })
	s.later(s.some(), func() {
		s.say("%s and %s are connected again", names(a), names(b))
		s.each(a, b, true, func(l *link) { l.cut.Store(false) })
	})
}

func (s *sim) oneWay(how func(*link, bool)) {
	a, b := s.parts()
	if s.rng.IntN(2) == 0 {
		a, b = b, a
	}
	if s.rng.IntN(2) == 0 && len(b) > 0 {
		b = b[:1]
	}
	s.say("nothing from %s to %s", names(a), names(b))
	s.each(a, b, false, func(l *link) { how(l, true) })
	s.later(s.some(), func() {
		s.say("%s reach %s again", names(a), names(b))
		s.each(a, b, false, func(l *link) { how(l, false) })
	})
}

// ruled has links follow a rule for a while.
func (s *sim) ruled(r *rule) {
	a, b := s.parts()
	if s.rng.IntN(2) == 0 {
		a, b = b, a
	}
	back := s.rng.IntN(2) == 0
	s.say("%+v from %s to %s, and back: %v", *r, names(a), names(b), back)
	s.each(a, b, back, func(l *link) { l.rule.Store(r) })
	s.later(s.some(), func() {
		s.say("no more delays from %s to %s", names(a), names(b))
		s.each(a, b, back, func(l *link) { l.rule.CompareAndSwap(r, nil) })
	})
}

// delay has some kinds of messages take longer than others, so that these overtake them.
func (s *sim) delay() {
	r := &rule{kinds: msgKind(1 + s.rng.IntN(int(msgAll))), delay: time.Duration(s.rng.IntN(40)) * time.Millisecond, jitter: s.some() / 4}
	switch s.rng.IntN(4) {
	case 0:
		r.kinds = 1 << s.rng.IntN(7)
		r.delay = s.some()
	case 1:
		r.kinds = 1 << s.rng.IntN(7)
		r.retains = true
	case 2:
		r.kinds, r.least = msgAll, 100+s.rng.IntN(1000)
	}
	s.ruled(r)
}

// drop has messages lost, so that they come again later, and connections break.
func (s *sim) drop() {
	s.ruled(&rule{kinds: msgAll, stalls: s.rng.Float64() * 0.3, stall: time.Duration(5+s.rng.IntN(40)) * time.Millisecond,
		resets: s.rng.Float64() * 0.1})
}

// ask has a node do something that takes a while, as an administrator would.
func (s *sim) ask(n *simNode, f func(context.Context, *process) error, done func(error)) {
	p := n.running()
	if p == nil {
		return
	}
	s.ending.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		err := f(ctx, p)
		s.say("%s was asked: %v", p.who, err)
		if done != nil {
			done(err)
		}
	})
}

func (s *sim) transferOne() {
	if n := s.pick(); n != nil {
		s.say("transfer, asked of %s", n.name)
		s.ask(n, func(ctx context.Context, p *process) error { return p.Transfer(ctx, "") }, nil)
	}
}
