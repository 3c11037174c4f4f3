package raftstore

import (
	"context"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// How long a simulated network is tried: to connect, and to have a connection's data acknowledged.
const (
	simDialPatience = 50 * time.Millisecond
	simLost         = 150 * time.Millisecond
	simJanitor      = 15 * time.Millisecond
)

// A fabric is the network between the machines of a simulation. Connections are streams, as those of TCP are: what is
// dropped is sent again, later, or the connection breaks; what is delayed is overtaken on other connections only.
type fabric struct {
	mu        sync.Mutex
	rng       *rand.Rand // the fate of each write
	links     map[[2]string]*link
	home      map[string]string // address to the machine that listened there last
	listeners map[string]*simListener
	conns     map[*simConn]struct{} // both ends
	off       map[string]bool       // machines without power: nothing is refused, nothing answers
	paused    map[string]bool       // machines that are suspended: the kernel answers, the process does not
	stop      chan struct{}
}

// A link is what leads from one machine to another.
type link struct {
	cut    atomic.Bool // nothing arrives
	held   atomic.Bool // nothing arrives, and nobody notices: an end is suspended
	refuse atomic.Bool // connections are refused
	rule   atomic.Pointer[rule]
}

func (l *link) blocked() bool { return l.cut.Load() || l.held.Load() }

// A rule is what a link does to some kinds of messages.
type rule struct {
	kinds   msgKind
	least   int           // bytes of a message that are concerned
	delay   time.Duration // for each
	jitter  time.Duration // at most, on top
	stalls  float64       // share that is lost, and sent again after stall
	stall   time.Duration
	resets  float64 // share that breaks the connection
	retains bool    // it is none: kept until the rule is gone
}

// A msgKind is what a message is, as a bit.
type msgKind int

const (
	msgBeat     msgKind = 1 << iota // an AppendEntries with nothing in it
	msgEntries                      // one with entries
	msgVote                         // a vote or pre-vote is asked for
	msgSnapshot                     // the beginning of one, and its bytes
	msgNow                          // TimeoutNow
	msgAnswer                       // to any of those
	msgPeer                         // peer requests, and their answers

	msgAll = 1<<iota - 1
)

// beatSize is more than an AppendEntries takes that has no entries.
const beatSize = 190

// kindOf tells what a write on a connection is: Raft's transport flushes once for a message.
func (c *simConn) kindOf(b []byte) msgKind {
	switch {
	case c.shared.first.Load() != 'R':
		return msgPeer
	case !c.dialed:
		return msgAnswer
	}
	switch b[0] {
	case 0:
		if len(b) < beatSize {
			return msgBeat
		}
		return msgEntries
	case 1, 4:
		return msgVote
	case 3:
		return msgNow
	}
	return msgSnapshot
}

func newFabric(seed uint64) *fabric {
	f := &fabric{
		rng:       rand.New(rand.NewPCG(seed, 'n')),
		links:     map[[2]string]*link{},
		home:      map[string]string{},
		listeners: map[string]*simListener{},
		conns:     map[*simConn]struct{}{},
		off:       map[string]bool{},
		paused:    map[string]bool{},
		stop:      make(chan struct{}),
	}
	go f.janitor()
	return f
}

// link finds what leads from one machine to another. Called with mu held.
func (f *fabric) link(from, to string) *link {
	l := f.links[[2]string{from, to}]
	if l == nil {
		l = &link{}
		f.links[[2]string{from, to}] = l
	}
	return l
}

// change changes the link from one machine to another, and wakes who waits for it.
func (f *fabric) change(from, to string, how func(*link)) {
	if from == to {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.link(from, to)
	how(l)
	for c := range f.conns {
		switch {
		case c.in.link == l:
			c.in.nudge()
			if l.refuse.Load() { // a firewall that rejects has the connections that are open reset
				c.reset(syscall.ECONNRESET)
			}
		}
	}
}

// pause suspends a machine, or ends that.
func (f *fabric) pause(machine string, on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused[machine] = on
	for ends, l := range f.links {
		l.held.Store(ends[0] != ends[1] && (f.paused[ends[0]] || f.paused[ends[1]]))
	}
	for c := range f.conns {
		c.in.nudge()
	}
}

// janitor breaks connections whose data have not been acknowledged for long.
func (f *fabric) janitor() {
	t := time.NewTicker(simJanitor)
	defer t.Stop()
	for {
		select {
		case <-f.stop:
			return
		case now := <-t.C:
			f.mu.Lock()
			for c := range f.conns {
				if (c.in.link.cut.Load() || c.silent) && c.in.waitsSince(now.Add(-simLost)) {
					c.reset(syscall.ETIMEDOUT)
					c.peer.reset(syscall.ETIMEDOUT)
				}
			}
			f.mu.Unlock()
		}
	}
}

// A port is one process's network: what it opened is gone when it dies.
type port struct {
	f       *fabric
	machine string
	dead    atomic.Bool
}

func (f *fabric) port(machine string) *port { return &port{f: f, machine: machine} }

// Listen is raftstore.Network's.
func (p *port) Listen(address string) (net.Listener, error) {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	if p.f.listeners[address] != nil || p.dead.Load() {
		return nil, netError("listen", address, syscall.EADDRINUSE)
	}
	l := &simListener{p: p, address: simAddr(address), accepted: make(chan *simConn, 64), done: make(chan struct{})}
	p.f.listeners[address] = l
	p.f.home[address] = p.machine
	for _, other := range p.f.home {
		p.f.link(p.machine, other)
		p.f.link(other, p.machine)
	}
	return l, nil
}

func netError(op, address string, err syscall.Errno) error {
	return &net.OpError{Op: op, Net: "tcp", Addr: simAddr(address), Err: os.NewSyscallError(op, err)}
}

// Dial is raftstore.Network's.
func (p *port) Dial(ctx context.Context, address string) (net.Conn, error) {
	c, lost, err := p.try(address)
	if !lost {
		return c, err
	}
	t := time.NewTimer(simDialPatience)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.C:
		return nil, netError("connect", address, syscall.ETIMEDOUT)
	}
}

// try connects; lost when nobody answers.
func (p *port) try(address string) (c net.Conn, lost bool, err error) {
	f := p.f
	f.mu.Lock()
	defer f.mu.Unlock()
	to, known := f.home[address]
	there, back := f.link(p.machine, to), f.link(to, p.machine)
	l := f.listeners[address]
	switch {
	case p.dead.Load():
		return nil, false, net.ErrClosed
	case !known || there.cut.Load() || back.cut.Load() || f.off[to] || f.paused[p.machine]:
		return nil, true, nil
	case l == nil || there.refuse.Load():
		return nil, false, netError("connect", address, syscall.ECONNREFUSED)
	}
	shared := &sharedConn{}
	out, in := newPipe(there), newPipe(back)
	near := &simConn{port: p, shared: shared, remote: address, in: in, out: out, dialed: true}
	far := &simConn{port: l.p, shared: shared, remote: p.machine, in: out, out: in, peer: near}
	near.peer = far
	select {
	case l.accepted <- far:
	default:
		return nil, true, nil
	}
	f.conns[near], f.conns[far] = struct{}{}, struct{}{}
	return near, false, nil
}

// die ends what a process has open. The other ends hear of it, unless its machine is without power.
func (p *port) die(power bool) {
	p.f.mu.Lock()
	defer p.f.mu.Unlock()
	p.dead.Store(true)
	p.f.off[p.machine] = power
	for a, l := range p.f.listeners {
		if l.p == p {
			delete(p.f.listeners, a)
			l.once.Do(func() { close(l.done) })
		}
	}
	for c := range p.f.conns {
		if c.port != p {
			continue
		}
		c.silent = power
		c.in.fail(net.ErrClosed)
		if !power {
			c.peer.reset(syscall.ECONNRESET)
		}
	}
}

// close ends the network.
func (f *fabric) close() {
	close(f.stop)
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		c.reset(net.ErrClosed)
	}
}

type simListener struct {
	p        *port
	address  simAddr
	accepted chan *simConn
	done     chan struct{}
	once     sync.Once
}

// Accept is net.Listener's.
func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close is net.Listener's.
func (l *simListener) Close() error {
	l.p.f.mu.Lock()
	if l.p.f.listeners[string(l.address)] == l {
		delete(l.p.f.listeners, string(l.address))
	}
	l.p.f.mu.Unlock()
	l.once.Do(func() { close(l.done) })
	for {
		select {
		case c := <-l.accepted:
			c.Close()
		default:
			return nil
		}
	}
}

// Addr is net.Listener's.
func (l *simListener) Addr() net.Addr { return l.address }

type simAddr string

func (simAddr) Network() string  { return "tcp" }
func (a simAddr) String() string { return string(a) }

// power gives a machine its power back.
func (f *fabric) power(machine string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off[machine] = false
}
