package server

import (
	"context"
	"errors"
	"hash/maphash"
	"time"

	"github.com/distcache/distcache/internal/serve"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// operations are the store's names of the protocol's operations.
var operations = [wire.UserOps]store.Op{
	wire.OpAdd: store.Add, wire.OpGet: store.Get, wire.OpRemove: store.Remove, wire.OpHave: store.Have,
}

// A session reads the requests of one connection.
type session struct {
	s    *Server
	conn *serve.Conn
	now  reply // to the request that Next has taken, when the answer is known at once
}

// Next implements [serve.Session].
func (n *session) Next(b []byte) (taken int, err error) {
	var m wire.Message
	if taken, err = wire.Requests.Parse(&m, b); taken == 0 || err != nil {
		return 0, err
	}
	s := n.s
	n.now.uid, n.now.op, n.now.arrival = m.UID, m.Op, n.conn.Arrival()
	r := store.Request{Op: operations[m.Op], ID: m.Payload}
	if m.Op == wire.OpAdd {
		r.ID, r.Data, r.Timeout, err = wire.ParseAdd(m.Payload)
		r.Timeout = max(r.Timeout, s.cfg.MinTimeout)
	} else {
		err = wire.CheckID(r.ID)
	}
	if err != nil {
		status, ok := err.(wire.Status)
		if !ok {
			return 0, err
		}
		n.now.status = status
		n.conn.Answer(&n.now)
		return taken, nil
	}
	key := maphash.Bytes(s.seed, r.ID)
	if s.prompt == nil || !s.prompt.NonBlocking(r.Op) || n.conn.HasBegun(key) {
		n.begin(r, key)
		return taken, nil
	}
	ctx := n.conn.NewContext()
	n.now.set(store.Do(ctx, s.cfg.Store, &r))
	ctx.Cancel()
	n.conn.Answer(&n.now)
	n.now.data = nil
	return taken, nil
}

// begin has the request carried out while the connection goes on. Ids whose keys are the same are taken for one, which
// does no harm.
func (n *session) begin(r store.Request, key uint64) {
	w := &request{reply: n.now, Request: r}
	kept := w.Keep(r.ID, r.Data)
	w.ID, w.Data = kept[:len(r.ID)], kept[len(r.ID):]
	n.conn.Begin(w, key)
}

// A request is one that is carried out while its connection goes on.
type request struct {
	serve.Call
	store.Request
	reply
}

// Do implements [serve.Request].
func (r *request) Do(ctx context.Context) {
	if s := r.s; s.async != nil {
		s.async.Start(&r.Request, r.Deadline(), r)
	} else {
		r.Done(store.Do(ctx, s.cfg.Store, &r.Request))
	}
}

// Done implements [store.Completion].
func (r *request) Done(result store.Result) {
	r.set(result)
	r.Finish()
}

// A reply is what there is to say to a request.
type reply struct {
	s       *Server
	uid     uint32
	op      wire.Op
	status  wire.Status
	data    []byte // of a GET that found something
	arrival time.Time
}

// set makes a reply of what a store returned.
func (r *reply) set(result store.Result) {
	r.status, r.data = wire.OK, result.Data
	switch {
	case result.Err != nil:
		var loud bool
		if r.status, loud = statusOf(result.Err); loud {
			r.s.badStore.Warn("store failed", "operation", r.op.String(), "error", result.Err)
		}
	case r.op == wire.OpGet && (len(r.data) == 0 || len(r.data) > wire.MaxPayload):
		r.s.badStore.Warn("session not sent: no message holds it", "bytes", len(r.data))
		r.status = wire.Disconnected
	}
}

// AppendAnswer implements [serve.Answer].
func (r *reply) AppendAnswer(dst []byte) []byte { return r.append(dst, r.status, r.data) }

// AppendFailure implements [serve.Request].
func (r *reply) AppendFailure(dst []byte) []byte { return r.append(dst, wire.Disconnected, nil) }

func (r *reply) append(dst []byte, status wire.Status, data []byte) []byte {
	r.s.count(r.op, status, r.arrival)
	var one [1]byte
	if r.op != wire.OpGet || status != wire.OK {
		one[0] = byte(status)
		data = one[:]
	}
	m := wire.Message{Response: true, UID: r.uid, Class: wire.ClassUser, Op: r.op, Payload: data}
	return wire.AppendMessage(dst, &m)
}

// statusOf is what to tell the client about a store's error, and whether the log should hear of it.
func statusOf(err error) (status wire.Status, loud bool) {
	if errors.As(err, &status) {
		return status, false
	}
	return wire.Disconnected, !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)
}
