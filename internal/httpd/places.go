package httpd

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// maxConns bounds the open connections of a Server. When it is reached, the oldest connection on which no request is
// being answered is closed: one that is idle, or sends its request slowly.
const maxConns = 64

// maxBusy bounds the requests that are being answered. Health checks and metrics are answered beyond it.
const maxBusy = 48

// places has the open connections of a Server.
type places struct {
	mu    sync.Mutex
	conns map[net.Conn]*place
	clock uint64
	busy  int
}

// A place is a connection's.
type place struct {
	nc    net.Conn
	since uint64 // increases from connection to connection
	busy  bool   // a request is being answered
}

type placeKey struct{}

// enter gives a connection a place, and closes another one if there are too many.
func (p *places) enter(nc net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= maxConns {
		var oldest *place
		for _, c := range p.conns {
			if !c.busy && (oldest == nil || c.since < oldest.since) {
				oldest = c
			}
		}
		if oldest != nil {
			delete(p.conns, oldest.nc)
			cut(oldest.nc)
		}
	}
	p.clock++
	if p.conns == nil {
		p.conns = make(map[net.Conn]*place)
	}
	p.conns[nc] = &place{nc: nc, since: p.clock}
}

// cut closes a connection without a last word to the peer, who may not take it.
func cut(nc net.Conn) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // of TLS
		nc = t.NetConn()
	}
	nc.Close()
}

// changed is told of connections by the HTTP server.
func (p *places) changed(nc net.Conn, state http.ConnState) {
	if state == http.StateClosed || state == http.StateHijacked {
		p.mu.Lock()
		delete(p.conns, nc)
		p.mu.Unlock()
	}
}

func (p *places) context(ctx context.Context, nc net.Conn) context.Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	return context.WithValue(ctx, placeKey{}, p.conns[nc])
}

// begin notes that a request is being answered; false if there are too many.
func (p *places) begin(r *http.Request) (end func(), ok bool) {
	c, _ := r.Context().Value(placeKey{}).(*place)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.busy >= maxBusy && !vital(r.URL.Path) {
		return nil, false
	}
	p.busy++
	if c != nil {
		c.busy = true
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.busy--
		if c != nil {
			c.busy = false
		}
	}, true
}

// vital tells which requests always have a place: those by which others see how this program is.
func vital(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// A listener gives each connection a place.
type listener struct {
	net.Listener
	places *places
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.places.enter(c)
	}
	return c, err
}
