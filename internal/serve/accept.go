package serve

import (
	"errors"
	"io"
	"net"
	"syscall"
	"time"
)

// An acceptor accepts connections. The worker that has accepted one serves it, and leaves the next to another: so a
// request that has come with its connection need not wait for a worker to wake.
type acceptor struct {
	s     *Server
	l     net.Listener
	ended chan<- error // why no more are accepted
}

func (a *acceptor) run() {
	var pause time.Duration
	for {
		nc, err := a.l.Accept()
		switch {
		case err == nil:
			pause = 0
			if c := a.s.newConn(nc); c != nil {
				a.s.workers.run(a)
				c.run()
				return
			}
		case a.s.stopping.Load(), errors.Is(err, io.EOF):
			a.ended <- nil
			return
		case passing(err):
			pause = a.s.longer(pause, a.l, err)
			select {
			case <-time.After(pause):
			case <-a.s.stopped:
			}
		default:
			a.ended <- err
			return
		}
	}
}

// longer is the pause after a passing error of Accept, which it logs, when the last was so long.
func (s *Server) longer(pause time.Duration, l net.Listener, err error) time.Duration {
	s.tooMany.Warn("cannot accept a connection", "listener", l.Addr().String(), "error", err)
	return min(max(2*pause, 5*time.Millisecond), time.Second)
}

// passing tells whether an error of Accept may be gone the next time.
func passing(err error) bool {
	var errno syscall.Errno
	return errors.As(err, &errno) && (errno.Temporary() || errno == syscall.ENOBUFS || errno == syscall.ENOMEM)
}
