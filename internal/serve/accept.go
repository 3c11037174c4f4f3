package serve

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
)

// An acceptor accepts connections. The worker that has accepted a connection serves it, and another worker accepts the
// next: a request that arrives with its connection need not wait for a worker to wake.
type acceptor struct {
	s     *Server
	l     net.Listener
	ended chan<- error // why no more are accepted
}

func (a *acceptor) run() {
	for {
		nc, err := Accept(a.l, a.s.stopped, a.s.tooMany)
		if nc == nil {
			a.ended <- err
			return
		}
		if c := a.s.newConn(nc); c != nil {
			a.s.workers.run(a)
			c.run()
			return
		}
	}
}

// Accept accepts a connection from l. It logs an error that may pass, such as running out of file descriptors, and
// tries again after a pause. Both results are nil when no more connections will come: stopped is closed, or l has ended
// with io.EOF.
func Accept(l net.Listener, stopped <-chan struct{}, log *ratelog.Logger) (net.Conn, error) {
	for pause := time.Duration(0); ; {
		nc, err := l.Accept()
		switch {
		case err == nil:
			return nc, nil
		case isClosed(stopped), errors.Is(err, io.EOF):
			return nil, nil
		case !passing(err):
			return nil, err
		}
		pause = longer(pause, l, err, log)
		select {
		case <-time.After(pause):
		case <-stopped:
		}
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// longer logs an error of Accept that may pass. It returns the pause to make, given the pause before.
func longer(pause time.Duration, l net.Listener, err error, log *ratelog.Logger) time.Duration {
	log.Warn("cannot accept a connection", "listener", l.Addr().String(), "error", err)
	return min(max(2*pause, 5*time.Millisecond), time.Second)
}

// passing tells whether an error of Accept may be gone the next time.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno.Temporary() || errno == syscall.ENOBUFS || errno == syscall.ENOMEM)
}
