package httpd

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// maxConns is the most open connections of a Server. For one more, the oldest connection on which no request is being
// answered is closed: a connection that is idle, or on which a request arrives slowly.
const maxConns = 64

// maxBusy is the most requests that are answered at a time. Health checks and metrics do not count against it.
const maxBusy = 48

// places are the open connections of a Server.
type places struct {
	mu    sync.Mutex
	conns map[net.Conn]*place
	clock uint64
	busy  int
}

// A place is an open connection.
type place struct {
	nc    net.Conn
	since uint64 // increases from connection to connection
	busy  bool   // a request is being answered
}

type placeKey struct{}

// enter adds a connection. If there are too many, it closes another.
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

// cut closes a connection without telling a TLS peer first: the peer may not read.
func cut(nc net.Conn) {
	if t, ok := nc.(interface{ NetConn() net.Conn }); ok { // of TLS
		nc = t.NetConn()
	}
	nc.Close()
}

// changed is the HTTP server's ConnState hook.
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

// begin records that a request is being answered, until end is called. The result is false if there are too many.
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

// vital tells whether a request is answered in any case: it is one that monitors this program.
func vital(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// A listener enters its connections into places.
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
