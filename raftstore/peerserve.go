package raftstore

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/distcache/distcache/internal/ratelog"
	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/seal"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
)

const (
	peerMessageTimeout = 10 * time.Second // to finish a message, and to take an answer
	peerCallTimeout    = 5 * time.Second  // for a read that a follower forwarded
	memberCallTimeout  = 60 * time.Second // for a change of membership

	peerMembers = 64 // questions about membership under way on a connection; they may be as long as an ADD
)

// servePeer answers the requests of another node, from, on one connection, which is for the node to, if that is not
// empty. Writes are answered by the batcher, what is known at once by the goroutine that reads; everything else runs in
// one of its own.
//
// It returns when its reads have ended. Changes of membership may wait for Raft: the store waits for them when it has
// closed the node.
func (s *peerService) servePeer(nc net.Conn, from, to serverid.ID) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &peerServer{
		s:      s,
		from:   from,
		remote: nc.RemoteAddr().String(),
		ctx:    ctx,
		slots:  make(chan struct{}, peerInFlight),
		member: make(chan struct{}, peerMembers),
		out:    peernet.NewWriter(nc, peerMessageTimeout),
	}
	defer p.reads.Wait()
	defer nc.Close() // which ends the writes
	defer cancel()
	r := wire.NewReader(nc, peerRequests)
	for {
		if err := r.Wait(); err != nil {
			return
		}
		if err := nc.SetReadDeadline(time.Now().Add(peerMessageTimeout)); err != nil {
			return
		}
		m := new(wire.Message)
		if err := r.Read(m); err != nil {
			s.bad.Warn("peer port: connection dropped", "remote", p.remote, "error", err)
			return
		}
		if err := nc.SetReadDeadline(time.Time{}); err != nil {
			return
		}
		select {
		case p.slots <- struct{}{}:
		case <-s.ended:
			return
		}
		n := s.node.Load()
		if to != "" && to != n.id { // it has become another server since
			return
		}
		p.handle(m, n)
	}
}

// A peerService answers other nodes.
type peerService struct {
	*core
	admission *admission
	founding  founding
	limits    sessionLimits
	bad       *ratelog.Logger // of what the peer port hears
}

// A peerServer answers on one connection. A slot is taken for each request under way.
type peerServer struct {
	s      *peerService
	from   serverid.ID
	remote string
	ctx    context.Context
	slots  chan struct{}
	member chan struct{} // one element for each question about membership under way
	out    *peernet.Writer
	reads  sync.WaitGroup // they end with ctx
}

func (p *peerServer) handle(m *wire.Message, n *node) {
	if !mayAsk(n, p.from, m.Op) {
		p.s.bad.Warn("peer port: request refused: the node is not a member", "remote", p.remote, "from", p.from)
		p.refuse(m)
		return
	}
	if m.Op == opSession && !p.s.limits.allow(p.from) {
		p.s.bad.Warn("peer port: request refused: the node opens too many client sessions", "remote", p.remote, "from", p.from)
		p.answer(m, codeRetry, nil)
		return
	}
	switch m.Op {
	case opAdd, opRemove, opSession:
		if p.forLeader(m, n) {
			p.write(m, n)
		}
	case opTerm:
		p.answer(m, byte(wire.OK), binary.BigEndian.AppendUint64(nil, n.raft.Term()))
	case opClock:
		p.answer(m, byte(wire.OK), n.appendClocks(nil))
	case opGet, opHave, opIndex:
		if p.forLeader(m, n) {
			p.read(m, n)
		}
	default:
		p.askedMember(m)
	}
}

// refuse answers a request of a node that is not a member. Its clients' requests are asked again, since the node may
// become one.
func (p *peerServer) refuse(m *wire.Message) {
	switch m.Op {
	case opAdd, opRemove, opSession, opGet, opHave, opIndex:
		p.answer(m, codeRetry, nil)
	default:
		p.answer(m, codeRefused, []byte("this node is not a member"))
	}
}

// forLeader tells whether this node leads, and otherwise has the request asked again.
func (p *peerServer) forLeader(m *wire.Message, n *node) bool {
	if n.leads() && !p.s.frozen.Load() {
		return true
	}
	p.answer(m, codeRetry, nil)
	return false
}

// answer sends an answer. An error is the connection's, and its reader finds it too.
func (p *peerServer) answer(m *wire.Message, code byte, body []byte) {
	<-p.slots
	_ = p.out.Send(response(m, code, body))
}

// answerLater is answer for those who may not wait for the peer.
func (p *peerServer) answerLater(m *wire.Message, code byte) {
	<-p.slots
	_ = p.out.Queue(response(m, code, nil))
}

func response(m *wire.Message, code byte, body []byte) *wire.Message {
	payload := append(append(make([]byte, 0, 1+len(body)), code), body...)
	return &wire.Message{Response: true, UID: m.UID, Class: m.Class, Op: m.Op, Payload: payload}
}

// write submits a forwarded ADD or REMOVE, or opens a client session, under the identity that came with it.
func (p *peerServer) write(m *wire.Message, n *node) {
	id, rest, ok := parseIdentity(m.Payload)
	if !ok {
		p.answer(m, codeFailed, []byte("malformed request"))
		return
	}
	op := entry.Op{Identity: id}
	var err error
	switch m.Op {
	case opAdd:
		err = parseForwardedAdd(&op, rest)
	case opRemove:
		op.Kind, op.ID = entry.Remove, rest
		err = wire.CheckID(rest)
	case opSession:
		op = entry.Op{Kind: entry.Session, Identity: entry.Identity{Origin: id.Origin}}
	}
	if err != nil {
		p.answer(m, codeOf(err), nil)
		return
	}
	n.batcher.submit(&op, waiterFunc(func(st wire.Status, err error) {
		switch {
		case errors.Is(err, errLost):
			p.answerLater(m, codeLost)
		case err != nil:
			p.answerLater(m, codeRetry)
		default:
			p.answerLater(m, byte(st))
		}
	}))
}

// parseForwardedAdd reads an ADD that another node has taken from its client.
func parseForwardedAdd(op *entry.Op, b []byte) error {
	if len(b) < 1 {
		return wire.Corrupt
	}
	op.Kind, op.Sealed = entry.Add, b[0] == peerSealed
	id, data, timeout, err := wire.SplitAdd(b[1:])
	if err != nil {
		return err
	}
	op.ID, op.Data, op.Timeout = id, data, uint32(timeout/time.Millisecond)
	if op.Sealed && len(data) > seal.Overhead {
		data = data[seal.Overhead:] // which may be as long as that of a client
	}
	return wire.CheckAdd(id, data, timeout)
}

// form is what says whether data are sealed.
func form(sealed bool) byte {
	if sealed {
		return peerSealed
	}
	return peerPlain
}

// read answers a question for a read index at once where the termProof that comes with it is enough. All else may take
// a while.
func (p *peerServer) read(m *wire.Message, n *node) {
	v, id, ok := parseTermProof(m.Payload)
	if !ok || m.Op != opIndex && wire.CheckID(id) != nil { // whose whole payload would be held
		p.answer(m, codeFailed, []byte("malformed request"))
		return
	}
	provenIndex := func() bool {
		index, ok := n.provenIndex(v)
		if ok {
			p.readAt(m, n, id, index)
		}
		return ok
	}
	switch {
	case m.Op != opIndex:
		p.reads.Go(func() {
			if !provenIndex() {
				p.readLater(m, n, id)
			}
		})
	case !provenIndex():
		p.reads.Go(func() { p.readLater(m, n, id) })
	}
}

// readLater answers a read when this node has made sure that it leads.
func (p *peerServer) readLater(m *wire.Message, n *node, id []byte) {
	ctx, cancel := context.WithTimeout(p.ctx, peerCallTimeout)
	defer cancel()
	index, err := n.readIndex(ctx)
	if err != nil {
		p.answer(m, codeOf(err), nil)
		return
	}
	p.readAt(m, n, id, index)
}

// readAt answers a read that may be answered now, with this read index.
func (p *peerServer) readAt(m *wire.Message, n *node, id []byte, at readIndex) {
	var data []byte
	var err error
	switch m.Op {
	case opGet:
		var d state.Data
		if d, err = n.getLocal(id, at.time); err == nil {
			data = append(append(data, form(d.Sealed)), d.Bytes...)
		}
	case opHave:
		err = n.haveLocal(id, at.time)
	case opIndex:
		data = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, at.index), at.time)
	}
	p.answer(m, codeOf(err), data)
}

// codeOf is what to answer for an error of a forwarded request.
func codeOf(err error) byte {
	var status wire.Status
	switch {
	case err == nil:
		return byte(wire.OK)
	case errors.As(err, &status):
		return byte(status)
	case errors.Is(err, errRetry), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return codeRetry
	}
	return codeFailed
}

// askedMember answers a question about membership when that can be done.
func (p *peerServer) askedMember(m *wire.Message) {
	select {
	case p.member <- struct{}{}:
	default:
		p.answer(m, codeRetry, nil)
		return
	}
	p.s.wg.Go(func() {
		defer func() { <-p.member }()
		p.answerMember(m)
	})
}

// answerMember answers questions about membership, in JSON.
func (p *peerServer) answerMember(m *wire.Message) {
	ctx, cancel := context.WithTimeout(p.ctx, memberCallTimeout)
	defer cancel()
	out, err := p.s.handleMember(ctx, p.from, m.Op, m.Payload)
	switch {
	case errors.Is(err, errRetry):
		p.answer(m, codeRetry, nil)
	case errors.Is(err, ErrRefused):
		p.answer(m, codeRefused, []byte(reasonOf(err)))
	case err != nil:
		p.answer(m, codeFailed, []byte(err.Error()))
	default:
		body, err := json.Marshal(out)
		if err != nil {
			p.answer(m, codeFailed, []byte(err.Error()))
			return
		}
		p.answer(m, byte(wire.OK), body)
	}
}
