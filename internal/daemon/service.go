package daemon

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/health"
	"github.com/distcache/distcache/wire"
)

// A Service is a daemon's listeners: those for clients and those for admins. Its methods are called in the order
// Listen, Serve, Wait, CloseClients, CloseAll, by one goroutine. The last two are called also after a failure.
type Service struct {
	process  *Process
	clients  []net.Listener
	admins   []net.Listener
	failed   chan error // a listener's error; nil when no more clients can come
	stopping atomic.Bool
	watch    context.Context // ends with CloseAll
	endWatch context.CancelFunc
	wg       sync.WaitGroup
}

// NewService makes a Service without listeners.
func NewService(p *Process) *Service {
	s := &Service{process: p, failed: make(chan error, 1)}
	s.watch, s.endWatch = context.WithCancel(context.Background())
	return s
}

// ListenClients opens the sockets that -listen names.
func (s *Service) ListenClients(ctx context.Context, addresses []wire.Address) error {
	for _, at := range addresses {
		l, err := s.process.Listen(ctx, at)
		if err != nil {
			return config.CannotListen("-listen", at, err)
		}
		s.clients = append(s.clients, l)
		s.process.Log.Info("listening for clients", "address", l.Addr().String())
	}
	return nil
}

// ListenAdmins opens the sockets that -admin names. who says in the log whom they are for. cannot adds advice to an
// error.
func (s *Service) ListenAdmins(ctx context.Context, who string, addresses []wire.Address,
	cannot func(wire.Address, error) error) error {
	for _, at := range addresses {
		l, err := s.process.ListenPrivate(ctx, at)
		if err != nil {
			return cannot(at, err)
		}
		s.admins = append(s.admins, l)
		s.process.Log.Info("listening for "+who, "address", l.Addr().String())
	}
	return nil
}

// Listeners are all that are open.
func (s *Service) Listeners() []net.Listener {
	return append(s.clients[:len(s.clients):len(s.clients)], s.admins...)
}

// ServeClients runs serve on each listener for clients. A listener that ends without an error can't have more clients:
// it was an inherited connection. When the last one has ended the service ends, unless it is needed by others.
func (s *Service) ServeClients(serve func(net.Listener) error, needed bool) {
	var left atomic.Int32
	left.Store(int32(len(s.clients)))
	for _, l := range s.clients {
		s.wg.Go(func() {
			err := serve(l)
			s.ended("clients", l, err)
			if left.Add(-1) == 0 && err == nil && !needed && !s.stopping.Load() {
				s.process.Log.Info("the clients that there were have gone, and no others can come")
				s.end(nil)
			}
		})
	}
}

// ServeAdmins runs serve on each listener for admins.
func (s *Service) ServeAdmins(who string, serve func(net.Listener) error) {
	for _, l := range s.admins {
		s.wg.Go(func() { s.ended(who, l, serve(l)) })
	}
}

// Watch runs f. CloseAll ends its context and waits for it.
func (s *Service) Watch(f func(ctx context.Context)) { s.wg.Go(func() { f(s.watch) }) }

// SayReady logs "ready" when the service is ready for the first time. It does not wait for that.
func (s *Service) SayReady(ready func(context.Context) error) {
	s.Watch(func(ctx context.Context) {
		if health.Await(ctx, ready) == nil {
			s.process.Log.Info("ready")
		}
	})
}

func (s *Service) ended(who string, l net.Listener, err error) {
	if err != nil && !s.stopping.Load() {
		s.end(fmt.Errorf("listener for %s on %v: %w", who, l.Addr(), err))
	}
}

// end makes Wait return err. Only the first call counts.
func (s *Service) end(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// Wait returns when there is a reason to stop, or done is closed. The error is nil unless a listener failed.
func (s *Service) Wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-ctx.Done():
		s.process.Log.Info("asked to stop")
	case err := <-s.failed:
		return err
	case <-done:
	}
	return nil
}

// CloseClients lets no more clients in.
func (s *Service) CloseClients() {
	s.stopping.Store(true)
	s.process.Stopping()
	for _, l := range s.clients {
		l.Close()
	}
}

// Stopping tells whether CloseClients was called.
func (s *Service) Stopping() bool { return s.stopping.Load() }

// CloseAll closes all listeners and waits until everything that serves them has ended.
func (s *Service) CloseAll() {
	for _, l := range s.Listeners() {
		l.Close()
	}
	s.endWatch()
	s.wg.Wait()
}
