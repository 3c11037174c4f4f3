package raftstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/state"
	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/client"
)

// What nodes say to each other on a connection of wire frames of wire.ClassPeer. Integers are big-endian.
//
//	op           request                                                       answer, after its code
//	opAdd        identity, peerSealed or peerPlain, then an ADD's payload      nothing
//	opRemove     identity, id                                                  nothing
//	opGet        termProof, id                                                     peerSealed or peerPlain, the session data
//	opHave       termProof, id                                                     nothing
//	opTerm       nothing                                                       u64 term
//	opIndex      termProof                                                         u64 read index, u64 log time
//	opHello      JSON hello                                                    JSON hello
//	opJoin…      JSON                                                          JSON
//	opSession    identity, of which only the client session counts             nothing
//	opGranted…   JSON                                                          JSON
//	opClock      nothing                                                       u64 wall clock, u64 log time
//
// A connection says which node it is for (see peernet): whoever else is there now does not answer. Only opHello and
// opJoin, from a node that knows addresses and no IDs, are sent to whichever node is there.
//
// Times are in ms since 1970. An identity is client session, counter, low: three u64. The code is a wire.Status, or one
// of those below.
const (
	opAdd wire.Op = iota
	opRemove
	opGet
	opHave
	opTerm
	opIndex
	opHello
	opJoin
	opMove
	opDrop
	opTransfer
	opMember
	opFound
	opClock
	opSession
	opGranted
	peerOps
)

// Codes of answers that are no statuses of the protocol.
const (
	codeRetry   = 200 // this node does not lead: ask again, under the same identity
	codeRefused = 201 // with the reason as text
	codeFailed  = 202 // with the reason as text
	codeLost    = 203 // as codeRetry, but this node has lost leadership midway: it may have been carried out
)

const identitySize = 24

// What session data are.
const (
	peerPlain  = 0
	peerSealed = 1
)

var (
	peerRequests  = wire.Rules{Class: wire.ClassPeer, Ops: int(peerOps), MaxPayload: wire.MaxPayload + wire.MaxFrameData}
	peerResponses = wire.Rules{Response: true, Class: wire.ClassPeer, Ops: int(peerOps), MaxPayload: wire.MaxPayload + wire.MaxFrameData}
)

// ask sends a request and gives the answer's code and the rest of it.
func (p *peers) ask(ctx context.Context, to peernet.Peer, op wire.Op, payload []byte) (code byte, body []byte, err error) {
	conn, err := p.get(ctx, to)
	if err != nil {
		return 0, nil, err
	}
	return askOn(ctx, conn, op, payload)
}

func askOn(ctx context.Context, conn *client.Conn, op wire.Op, payload []byte) (code byte, body []byte, err error) {
	answer, err := conn.Do(ctx, op, payload)
	if err != nil {
		return 0, nil, err
	}
	if len(answer) == 0 {
		conn.Abort(errors.New("a peer's answer is empty"))
		return 0, nil, wire.ErrCorrupt
	}
	return answer[0], answer[1:], nil
}

// do sends a client's request to the leader; errRetry or errLost when it has to be asked again.
func (p *peers) do(ctx context.Context, to peernet.Peer, op wire.Op, payload []byte) ([]byte, error) {
	conn, err := p.get(ctx, to)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), errRetry)
	}
	code, body, err := askOn(ctx, conn, op, payload)
	if err != nil {
		return nil, cmp.Or(ctx.Err(), errLost)
	}
	switch {
	case code < codeRetry:
		return body, wire.Status(code).Err()
	case code == codeRetry:
		return nil, errRetry
	case code == codeLost:
		return nil, errLost
	}
	return nil, fmt.Errorf("the leader could not answer: %s", body)
}

// call sends a request whose question and answer are JSON.
func (p *peers) call(ctx context.Context, to peernet.Peer, op wire.Op, in, out any) error {
	payload, err := json.Marshal(in)
	if err != nil {
		return err
	}
	code, body, err := p.ask(ctx, to, op, payload)
	switch {
	case err != nil:
		return fmt.Errorf("node at %s: %w", to.Address, err)
	case code == codeRetry:
		return errRetry
	case code == codeRefused:
		return fmt.Errorf("%w: %s", ErrRefused, body)
	case code != byte(wire.OK):
		return fmt.Errorf("node at %s: %s", to.Address, body)
	case out == nil:
		return nil
	}
	return json.Unmarshal(body, out)
}

// termOf asks a node for its term.
func (p *peers) termOf(ctx context.Context, to peernet.Peer, answered func(uint64, error)) (forget func()) {
	parse := func(answer []byte, err error) {
		var term uint64
		switch {
		case err != nil:
		case len(answer) != 1+8:
			err = wire.ErrCorrupt
		default:
			term = binary.BigEndian.Uint64(answer[1:])
		}
		answered(term, err)
	}
	if conn := p.live(to); conn != nil {
		if uid, err := conn.Start(opTerm, nil, parse); err == nil {
			return func() { conn.Cancel(uid) }
		}
	}
	if !p.spawn(func() {
		conn, err := p.get(ctx, to)
		if err != nil {
			answered(0, err)
			return
		}
		parse(conn.Do(ctx, opTerm, nil))
	}) {
		answered(0, ErrClosed)
	}
	return func() {} // ctx does that
}

// readIndex asks the leader how far a node must have come to answer the reads that wait for this.
func (p *peers) readIndex(ctx context.Context, leader peernet.Peer, question []byte) (readIndex, error) {
	body, err := p.do(ctx, leader, opIndex, question)
	if err != nil {
		return readIndex{}, err
	}
	if len(body) != 16 {
		return readIndex{}, wire.ErrCorrupt
	}
	return readIndex{binary.BigEndian.Uint64(body), binary.BigEndian.Uint64(body[8:])}, nil
}

// clock asks a node what time it is. The answer is taken for that of the moment at which it arrives: its clock says no
// less by then, so that a slow answer takes no session's time away.
func (p *peers) clock(ctx context.Context, to peernet.Peer) (clockAnswer, error) {
	conn, err := p.get(ctx, to)
	if err != nil {
		return clockAnswer{}, err
	}
	answer, err := conn.Do(ctx, opClock, nil)
	if err != nil {
		return clockAnswer{}, err
	}
	if len(answer) == 0 || answer[0] != byte(wire.OK) {
		return clockAnswer{}, wire.ErrCorrupt
	}
	a, ok := parseClocks(answer[1:], time.Now())
	if !ok {
		return clockAnswer{}, wire.ErrCorrupt
	}
	return a, nil
}

// connected connects to a node, unless it is connected, and gives what is closed when the connection ends.
func (p *peers) connected(ctx context.Context, to peernet.Peer) (<-chan struct{}, error) {
	conn, err := p.get(ctx, to)
	if err != nil {
		return nil, err
	}
	return conn.Done(), nil
}

func appendIdentity(dst []byte, id entry.Identity) []byte {
	dst = binary.BigEndian.AppendUint64(dst, id.Origin)
	dst = binary.BigEndian.AppendUint64(dst, id.Counter)
	return binary.BigEndian.AppendUint64(dst, id.Low)
}

func parseIdentity(b []byte) (entry.Identity, []byte, bool) {
	if len(b) < identitySize {
		return entry.Identity{}, nil, false
	}
	id := entry.Identity{
		Origin:  binary.BigEndian.Uint64(b),
		Counter: binary.BigEndian.Uint64(b[8:]),
		Low:     binary.BigEndian.Uint64(b[16:]),
	}
	return id, b[identitySize:], id.Low <= id.Counter && id.Counter-id.Low < state.MaxWindow
}
