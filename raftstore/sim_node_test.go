package raftstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// simHeartbeat is Config.Heartbeat of simulated nodes: a tenth of what it is by default. All other times are shorter by
// as much, or more.
const simHeartbeat = 40 * time.Millisecond

func simTiming() timing {
	return timing{
		caretaker:     20 * time.Millisecond,
		doubt:         300 * time.Millisecond,
		join:          30 * time.Millisecond,
		joinPatience:  600 * time.Millisecond,
		dry:           500 * time.Millisecond,
		found:         10 * time.Millisecond,
		foundPatience: 300 * time.Millisecond,
		hello:         100 * time.Millisecond,
		change:        500 * time.Millisecond,
		round:         100 * time.Millisecond,
		promotion:     500 * time.Millisecond,
		agreement:     300 * time.Millisecond,
		clock:         100 * time.Millisecond,
		clockPatience: 200 * time.Millisecond,
		flush:         60 * time.Millisecond,
		raft: raftnode.Timing{
			Stagger:   10 * time.Millisecond,
			Look:      10 * time.Millisecond,
			Redial:    5 * time.Millisecond,
			Commit:    5 * time.Millisecond,
			Transport: 400 * time.Millisecond,
			PreVote:   50 * time.Millisecond,
			Trim:      50 * time.Millisecond,
		},
	}
}

// A simNode is a machine with a disk, on which a node runs or not.
type simNode struct {
	s       *sim
	name    string
	address string
	cluster []Node // Config.Cluster; nil: it stands alone, or joins
	disk    *simDisk
	gen     int // of its directory, which is renamed at each kill: what is left of the process finds it no more
	copies  []backup

	mu  sync.Mutex
	run *process // nil: it is down

	gone   atomic.Bool  // it is not a member, or not any more, and not expected to answer
	unused bool         // it never was
	skew   atomic.Int64 // of its wall clock
	moved  bool         // Cluster is no use to it: it has another address, or joins
	risky  bool         // its files are older than what it has promised: it may be refused
}

// A process is one run of a node.
type process struct {
	*Store
	who      string
	port     *port
	life     *diskLife
	mu       sync.Mutex
	machines []*state.Machine
}

func (n *simNode) dir() string { return filepath.Join(n.s.dir, fmt.Sprintf("%s.%d", n.name, n.gen)) }

// running is the node's process, nil when it is down.
func (n *simNode) running() *process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.run
}

// start starts the node on the files that it has.
func (n *simNode) start() error {
	if n.running() != nil {
		return nil
	}
	n.s.lives++
	p := &process{who: fmt.Sprintf("%s.%d", n.name, n.s.lives), port: n.s.fabric.port(n.name), life: &diskLife{d: n.disk}}
	n.s.fabric.power(n.name)
	replicas := 0
	watches := map[*state.Machine]*nodeWatch{}
	cfg := Config{
		Dir:      n.dir(),
		Name:     n.name,
		Insecure: true, Peer: n.address,
		Network:     p.port,
		Logger:      n.s.logger(p.who),
		Heartbeat:   simHeartbeat,
		DiskTimeout: 400 * time.Millisecond,
		BatchBytes:  1 << 10,
		LogBytes:    n.s.logBytes,
		timing:      simTiming(),
		wallClock:   func() time.Time { return time.Now().Add(time.Duration(n.skew.Load())) },
	}
	switch {
	case n.cluster != nil && !n.moved:
		cfg.Cluster = n.cluster
	case n.cluster != nil:
		for _, m := range n.s.nodes {
			if m != n && !m.unused {
				cfg.Join = append(cfg.Join, m.address)
			}
		}
	}
	cfg.hooks = hooks{
		logFiles: func(path string, _ raftlog.Options) (raftlog.Files, error) { return n.disk.open(p.life, path) },
		machine: func(m *state.Machine) (raftnode.Machine, func(uint64)) {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.machines = append(p.machines, m)
			replicas++
			w := &nodeWatch{w: n.s.watch, who: fmt.Sprintf("%s/%d", p.who, replicas), Machine: m, m: m}
			watches[m] = w
			return w, w.leads
		},
		started: func(r *node) {
			p.mu.Lock()
			defer p.mu.Unlock()
			watches[r.state].follow(r.raft)
		},
	}
	st, err := Open(cfg)
	if err != nil {
		p.port.die(false)
		return fmt.Errorf("start %s: %w", p.who, err)
	}
	p.Store = st
	n.mu.Lock()
	n.run = p
	n.mu.Unlock()
	return nil
}

// kill ends the node's process as SIGKILL does, or as a loss of power.
func (n *simNode) kill(power bool) {
	n.mu.Lock()
	p := n.run
	n.run = nil
	n.mu.Unlock()
	if p == nil {
		return
	}
	p.port.die(power)
	p.life.die()
	p.mu.Lock()
	machines := p.machines
	p.mu.Unlock()
	for _, m := range machines {
		_ = m.Abandon()
	}
	old := n.dir()
	n.gen++
	if err := os.Rename(old, n.dir()); err != nil {
		n.s.fail("simulation", "kill %s: %v", p.who, err)
	}
	p.lock.Close()
	n.s.ending.Go(func() { p.Close() })
}

// stop ends the node's process politely, unless that would wait for a disk that hangs.
func (n *simNode) stop() {
	if n.disk.isHung() {
		n.kill(false)
		return
	}
	n.mu.Lock()
	p := n.run
	n.run = nil
	n.mu.Unlock()
	if p != nil {
		p.Close()
		p.port.die(false)
	}
}

// wipe empties the directory of a node that is down. When nodes that founded its cluster are gone, or have moved, it is
// told who is there.
func (n *simNode) wipe() {
	os.RemoveAll(n.dir())
	for _, m := range n.s.nodes {
		n.moved = n.moved || m.moved || m.gone.Load() && !m.unused
	}
}

// A backup is a copy of a node's directory, with what is on its simulated disk.
type backup struct {
	dir   string
	image diskImage
}

// backUp copies the files of a node that is down.
func (n *simNode) backUp() {
	b := backup{filepath.Join(n.s.dir, fmt.Sprintf("%s.copy%d", n.name, len(n.copies))), n.disk.image()}
	if err := copyDir(n.dir(), b.dir); err != nil {
		n.s.fail("simulation", "copy of %s: %v", n.name, err)
		return
	}
	n.copies = append(n.copies, b)
}

// restore puts the files back that a node that is down had at its last backUp.
func (n *simNode) restore() {
	if len(n.copies) == 0 {
		return
	}
	b := n.copies[len(n.copies)-1]
	n.wipe()
	if err := copyDir(b.dir, n.dir()); err != nil {
		n.s.fail("simulation", "restore %s: %v", n.name, err)
	}
	n.disk.restore(b.image)
	n.risky = true
}

func copyDir(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(from, path)
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
}

// mind sees to a process that has ended by itself: a node that was removed is gone, any other is to be started again.
func (n *simNode) mind() {
	p := n.running()
	if p == nil {
		return
	}
	err := p.Err()
	switch {
	case err == nil:
	case errors.Is(err, ErrRemoved), errors.Is(err, ErrLeft):
		n.gone.Store(true)
		n.kill(false)
	case errors.Is(err, ErrDisk):
		n.kill(false)
	case n.risky:
		n.kill(false)
		n.wipe()
		n.risky = false
		n.restart()
	default:
		n.s.fail("ended", "%s: %v", p.who, err)
		n.kill(false)
	}
}

// restart starts a node that is down and not gone. That it can't be is a failure, unless its files are older than what
// it has promised.
func (n *simNode) restart() {
	if n.gone.Load() || n.running() != nil {
		return
	}
	if n.disk.isHung() { // it would wait for that, and hold up the schedule
		n.s.later(20*time.Millisecond, n.restart)
		return
	}
	err := n.start()
	switch {
	case err == nil:
	case errors.Is(err, ErrRemoved), errors.Is(err, ErrLeft):
		n.gone.Store(true)
	case n.risky && errors.Is(err, ErrForeign):
		n.wipe()
		n.risky = false
		n.restart()
	default:
		n.s.fail("start", "%v", err)
		n.gone.Store(true)
	}
}

// leader is a node that believes to lead, nil if none does.
func (s *sim) leader() *simNode {
	for _, n := range s.nodes {
		if p := n.running(); p != nil {
			if r := p.node.Load(); r != nil && r.leads() {
				return n
			}
		}
	}
	return nil
}

// answers makes sure that a node answers.
func (n *simNode) answers(ctx context.Context) error {
	p := n.running()
	if p == nil {
		return errors.New("it is down")
	}
	id := fmt.Appendf(nil, "probe of %s", p.who)
	if err := p.Remove(ctx, id); err != nil && err.Error() != "no such session" {
		return fmt.Errorf("REMOVE: %w", err)
	}
	if err := p.Have(ctx, id); err != nil && err.Error() != "no such session" {
		return fmt.Errorf("HAVE: %w", err)
	}
	return nil
}
