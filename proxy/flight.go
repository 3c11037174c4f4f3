package proxy

import (
	"errors"
	"time"

	"github.com/distcache/distcache/internal/linked"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
	"github.com/distcache/distcache/wire/store"
)

// A flight is one request on its way. It belongs to whoever started it or took it off its link.
type flight struct {
	p        *Proxy
	op       wire.Op
	payload  []byte
	id       [wire.MaxID]byte // payload's place, unless it is an ADD
	deadline time.Time
	done     store.Completion
	tries    int
	answered func([]byte, error) // method land

	// Set by link.start.
	link *link
	uid  uint32
	slot int // of the link's wheel

	linked.Links[flight] // there, under link.mu
}

// read tells whether the request may be asked twice.
func (f *flight) read() bool { return f.op == wire.OpGet || f.op == wire.OpHave }

// end says that the request ended with a status, without data.
func (f *flight) end(status error) { f.done.Done(store.Result{Err: status}) }

// send puts the flight on the connection in use, or on the next if that one turns out to be lost.
func (p *Proxy) send(f *flight) {
	for ; f.tries <= len(p.upstreams); f.tries++ {
		if f.tries > 0 && !time.Now().Before(f.deadline) {
			break
		}
		l := p.current.Load()
		if l == nil {
			break
		}
		err := l.start(f)
		if err == nil {
			return
		}
		if l.conn.Err() == nil {
			break // too many are under way
		}
		p.lost(l)
	}
	p.refused.Add(1)
	f.end(wire.Disconnected)
}

// land is what the connection calls with the answer, or with the reason why there is none.
func (f *flight) land(payload []byte, err error) {
	l := f.link
	l.remove(f)
	if err == nil {
		f.arrived(l, payload)
		return
	}
	f.p.lost(l)
	f.again(err)
}

// arrived makes of an answer what the client is told.
func (f *flight) arrived(l *link, payload []byte) {
	var data []byte
	var err error
	if f.op == wire.OpGet {
		data, err = wire.ParseGet(payload)
	} else {
		err = wire.ParseStatus(payload)
	}
	switch {
	case errors.Is(err, wire.ErrCorrupt):
		l.conn.Abort(err)
		f.p.lost(l)
		f.again(err)
	case err == wire.Disconnected:
		l.bad.Add(1)
		if f.read() && f.elsewhere(l) {
			return
		}
		f.end(err)
	default:
		l.good.Add(1)
		f.done.Done(store.Result{Data: data, Err: err})
	}
}

// again asks once more what may be asked once more.
func (f *flight) again(err error) {
	if !f.read() && !errors.Is(err, client.ErrNotSent) {
		f.p.unknown.Add(1)
		f.end(wire.Disconnected)
		return
	}
	f.p.again.Add(1)
	f.tries++
	f.p.send(f)
}

// elsewhere asks a server that is ready, when there is one besides that of l, which could not answer.
func (f *flight) elsewhere(l *link) bool {
	f.tries++
	if f.tries > len(f.p.upstreams) || !time.Now().Before(f.deadline) {
		return false
	}
	other := f.p.readyBut(l.u)
	if other == nil || other.start(f) != nil {
		return false
	}
	f.p.again.Add(1)
	return true
}
