package loadtest

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/rawconn"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// A loop runs workers that have one request under way at a time. One goroutine waits for all their sockets, with epoll.
// The load generator often shares its machine with the servers that it measures: this costs half of what a goroutine
// for each connection costs. With a rawconn.Poller, which the runtime watches as well, it would cost 1.4 times as much.
type loop struct {
	b       *Bench
	rec     *recorder
	ep      int // the epoll descriptor
	targets []unix.Sockaddr
	workers []*caller
	buf     []byte // for reads
	answer  wire.Message
}

const (
	loopTick   = 10 * time.Millisecond // the precision of time limits and pauses
	loopBuffer = 64 << 10              // more than any answer
	loopEvents = 256
	readable   = unix.EPOLLIN | unix.EPOLLRDHUP | 1<<31 // 1<<31 is EPOLLET, a negative constant in unix
)

// startLoops starts loops for all workers, which run until ctx is done. If loops are not possible here, it starts
// nothing and returns false.
func (b *Bench) startLoops(ctx context.Context, wg *sync.WaitGroup) bool {
	if rawconn.NoEpoll() {
		return false
	}
	for _, t := range b.targets {
		if sockaddr(t.addr) == nil {
			return false
		}
	}
	n := min(b.Workers, max(1, runtime.GOMAXPROCS(0)/2))
	var loops []*loop
	for i := range n {
		ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
		if err != nil {
			for _, l := range loops {
				_ = unix.Close(l.ep)
			}
			return false
		}
		l := &loop{b: b, rec: b.recorders[i%len(b.recorders)], ep: ep, buf: make([]byte, loopBuffer)}
		for _, t := range b.targets {
			l.targets = append(l.targets, sockaddr(t.addr)) // not shared between loops: the system call writes to it
		}
		loops = append(loops, l)
	}
	for i := range b.Workers {
		l := loops[i%n]
		w := &caller{stream: newStream(b, i), l: l, fd: -1, target: i % len(l.targets), index: int32(len(l.workers))}
		w.rec = l.rec
		l.workers = append(l.workers, w)
	}
	for _, l := range loops {
		wg.Go(func() { l.run(ctx) })
	}
	return true
}

// sockaddr is an address in the form of the system calls, nil if its kind is not known here.
func sockaddr(a net.Addr) unix.Sockaddr {
	switch a := a.(type) {
	case *net.UnixAddr:
		return &unix.SockaddrUnix{Name: a.Name}
	case *net.TCPAddr:
		if ip := a.IP.To4(); ip != nil {
			return &unix.SockaddrInet4{Port: a.Port, Addr: [4]byte(ip)}
		}
		if ip := a.IP.To16(); ip != nil && a.Zone == "" {
			return &unix.SockaddrInet6{Port: a.Port, Addr: [16]byte(ip)}
		}
	}
	return nil
}

func (l *loop) run(ctx context.Context) {
	defer unix.Close(l.ep)
	defer func() {
		for _, w := range l.workers {
			w.hangUp()
		}
	}()
	events := make([]unix.EpollEvent, loopEvents)
	checked := time.Duration(-1)
	for ctx.Err() == nil {
		if now := l.b.at(); checked < 0 || now-checked >= loopTick {
			checked = now
			for _, w := range l.workers {
				w.tend(now)
			}
		}
		n, err := unix.EpollWait(l.ep, events, int(loopTick/time.Millisecond))
		if err != nil && err != unix.EINTR {
			l.rec.trouble(fmt.Sprintf("epoll: %v", err))
			return
		}
		if ctx.Err() != nil {
			return // the benchmark is over: neither answers nor errors count
		}
		for _, e := range events[:max(n, 0)] {
			if w := l.workers[e.Fd]; w.generation == e.Pad {
				w.ready(e.Events)
			}
		}
	}
}

// A caller is a worker of a loop.
type caller struct {
	*stream
	l          *loop
	index      int32 // in the loop
	generation int32 // counts connections: tells an event of this connection from one of an earlier connection
	fd         int   // -1: none
	target     int
	uid        uint32
	busy       bool          // a request is under way
	due        time.Duration // when not busy, when to make the next request
	wait       backoff
	out        []byte // the rest of the request, not written yet
	frames     []byte // the memory of out
	in         []byte // the part of an answer that has arrived
}

// tend makes the request that is due, or gives up a request that takes too long.
func (w *caller) tend(now time.Duration) {
	switch {
	case w.busy && now-w.asked > w.b.RequestTimeout:
		w.lost(client.ErrTimeout)
	case w.busy && w.fd < 0: // the server's queue of connections was full
		w.begin()
	case !w.busy && now >= w.due:
		w.next()
	}
}

// next makes the next request and sends it.
func (w *caller) next() {
	op, payload := w.choose()
	w.uid++
	w.frames = wire.AppendMessage(w.frames[:0], &wire.Message{UID: w.uid, Op: op, Payload: payload})
	w.out, w.in, w.busy = w.frames, w.in[:0], true
	w.begin()
}

// begin opens a connection if there is none, and sends what can be sent of the request.
func (w *caller) begin() {
	fresh := w.fd < 0
	if fresh {
		err := w.connect()
		if err == unix.EAGAIN { // a unix socket whose queue of connections is full; a blocking connect would wait here
			return
		}
		if err != nil {
			w.broken(err)
			return
		}
	}
	if w.send(); w.fd >= 0 && (fresh || len(w.out) > 0) {
		w.watch(fresh)
	}
}

// connect opens a connection. The connection may not be established when it returns.
func (w *caller) connect() error {
	to := w.l.targets[w.target]
	family := unix.AF_UNIX
	switch to.(type) {
	case *unix.SockaddrInet4:
		family = unix.AF_INET
	case *unix.SockaddrInet6:
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if family != unix.AF_UNIX {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err == nil {
		err = unix.Connect(fd, to)
		if err == unix.EINPROGRESS || err == unix.EINTR {
			err = nil // the socket becomes writable when it is connected
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	w.generation++
	w.fd = fd
	return nil
}

// watch has the loop wait for an answer, and for room to write if part of the request is left.
func (w *caller) watch(fresh bool) {
	e := unix.EpollEvent{Events: readable, Fd: w.index, Pad: w.generation}
	if len(w.out) > 0 {
		e.Events |= unix.EPOLLOUT
	}
	how := unix.EPOLL_CTL_MOD
	if fresh {
		how = unix.EPOLL_CTL_ADD
	}
	if err := unix.EpollCtl(w.l.ep, how, w.fd, &e); err != nil {
		w.lost(fmt.Errorf("%w: %w", client.ErrLost, err))
	}
}

// hangUp closes the connection, if there is one.
func (w *caller) hangUp() {
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd = -1
	}
}

// ready handles events of the connection.
func (w *caller) ready(events uint32) {
	if len(w.out) > 0 && events&(unix.EPOLLOUT|unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		w.send()
	}
	if events&^unix.EPOLLOUT != 0 && w.fd >= 0 {
		w.receive()
	}
}

// send writes what can be written without waiting.
func (w *caller) send() {
	for len(w.out) > 0 {
		n, err := unix.Write(w.fd, w.out)
		switch {
		case err == unix.EAGAIN || err == unix.ENOTCONN: // not yet connected
			return
		case err == unix.EINTR:
		case err != nil:
			w.broken(err)
			return
		default:
			w.out = w.out[n:]
		}
	}
}

// receive reads what has arrived. It handles the answer when all of it has arrived.
func (w *caller) receive() {
	for w.fd >= 0 {
		n, err := unix.Read(w.fd, w.l.buf)
		switch {
		case err == unix.EAGAIN:
			return
		case err == unix.EINTR:
			continue
		case err != nil:
			w.broken(err)
			return
		case n == 0:
			w.lost(fmt.Errorf("%w: closed by the server without an answer", client.ErrLost))
			return
		}
		got := w.l.buf[:n]
		if len(w.in) > 0 {
			w.in = append(w.in, got...)
			got = w.in
		}
		whole, err := w.parse(got)
		switch {
		case err != nil:
			w.lost(fmt.Errorf("%w: %w", client.ErrLost, err))
			return
		case whole:
			w.answered(w.l.answer.Payload)
			return // no more is due before the next request; further bytes are a new event
		case len(w.in) == 0:
			w.in = append(w.in, got...)
		}
	}
}

// parse reads the answer into l.answer, if all of it has arrived.
func (w *caller) parse(got []byte) (whole bool, err error) {
	m := &w.l.answer
	n, err := wire.Responses.Parse(m, got)
	if err != nil || n == 0 {
		return false, err
	}
	if !w.busy || m.UID != w.uid || m.Op != w.op || len(w.out) > 0 || n < len(got) {
		return false, fmt.Errorf("%w: an answer to another request", wire.ErrCorrupt)
	}
	return true, nil
}

func (w *caller) answered(answer []byte) {
	if !w.b.Persistent {
		w.hangUp()
	}
	w.busy = false
	if w.judge(answer, nil) {
		w.wait = 0
		w.next()
		return
	}
	w.due = w.b.at() + w.wait.longer()
}

// broken is lost, for an error of the connection.
func (w *caller) broken(err error) {
	fate := client.ErrLost
	if len(w.out) == len(w.frames) {
		fate = client.ErrNotSent
	}
	w.lost(fmt.Errorf("%w: %w", fate, err))
}

// lost closes the connection and fails the request under way, if any. After a pause the next request goes to the next
// server.
func (w *caller) lost(err error) {
	w.hangUp()
	if w.busy {
		w.busy = false
		w.judge(nil, err)
	}
	w.target = (w.target + 1) % len(w.l.targets)
	w.due = w.b.at() + w.wait.longer()
}
