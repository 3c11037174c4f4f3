package peernet

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

const (
	// rpcTimeout bounds the time from the first byte of a Raft request to its last, and the time for each further piece
	// of a snapshot. A sender gives up earlier: see transportTimeout in package raftnode.
	rpcTimeout = 15 * time.Second

	// smallRPC is how long a request may be without a turn.
	smallRPC = 1 << 20

	// largeRPCs bounds the memory for longer requests: so many of members are received and handled at once, and one of
	// all other senders.
	largeRPCs = 3
)

var errNoTurn = errors.New("too many long Raft requests at once")

// turns are taken by connections with long requests.
type turns struct{ members, others chan struct{} }

func newTurns() *turns {
	return &turns{members: make(chan struct{}, largeRPCs), others: make(chan struct{}, 1)}
}

// An rpcConn is a connection whose Raft requests are scanned before Raft gets their bytes. One goroutine reads.
type rpcConn struct {
	net.Conn
	scan   *scanner
	turns  func() chan struct{} // those that the sender may take
	refuse func(error)          // logs why the connection is closed

	timed  bool          // a read deadline is set
	turn   chan struct{} // where a turn was taken last
	taken  atomic.Bool
	closed atomic.Bool
}

func (c *rpcConn) Read(p []byte) (int, error) {
	if !c.long() { // Raft reads on when it has answered the request before
		c.endTurn()
	}
	n, err := c.Conn.Read(p)
	if n == 0 {
		return n, err
	}
	bad := c.scan.scan(p[:n])
	if bad == nil && c.long() {
		bad = c.takeTurn()
	}
	if bad != nil {
		c.refuse(bad)
		return 0, bad
	}
	return n, errors.Join(err, c.setDeadline())
}

// long tells whether the request that is being read is a long one.
func (c *rpcConn) long() bool {
	return !c.scan.between() && !c.scan.inSnapshot() && c.scan.size > smallRPC
}

// setDeadline limits the time for the rest of a request.
func (c *rpcConn) setDeadline() error {
	switch between := c.scan.between(); {
	case between && c.timed:
		c.timed = false
		return c.SetReadDeadline(time.Time{})
	case !between && (!c.timed || c.scan.inSnapshot()):
		c.timed = true
		return c.SetReadDeadline(time.Now().Add(rpcTimeout))
	}
	return nil
}

func (c *rpcConn) takeTurn() error {
	if c.taken.Load() {
		return nil
	}
	c.turn = c.turns()
	t := time.NewTimer(rpcTimeout)
	defer t.Stop()
	select {
	case c.turn <- struct{}{}:
	case <-t.C:
		return errNoTurn
	}
	c.taken.Store(true)
	if c.closed.Load() {
		c.endTurn()
	}
	return nil
}

func (c *rpcConn) endTurn() {
	if c.taken.CompareAndSwap(true, false) {
		<-c.turn
	}
}

// Close may be called by any goroutine, and more than once.
func (c *rpcConn) Close() error {
	c.closed.Store(true)
	err := c.Conn.Close()
	c.endTurn()
	return err
}
