package raftstore

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/hashicorp/raft"
)

// campaignStagger is how long each voter gives the one before it to be elected.
const campaignStagger = 100 * time.Millisecond

// watchLeader holds a connection to the leader, and asks for votes at once when the leader's process is gone: the
// connection breaks, and its machine refuses another. Heartbeats that stop say the same only after Config.Heartbeat and
// more. Anything less certain than a refusal is left to them.
//
// When another node leads, the connection to the one before is dropped: requests that wait there, for a process that may
// be frozen, are asked again where they will be answered.
func (s *Store) watchLeader(n *node) {
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	go func() {
		select {
		case <-n.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	last := ""
	for ctx.Err() == nil {
		news := n.news()
		address, ok := n.leaderAddress()
		if last != "" && address != last {
			s.peers.drop(last)
		}
		last = address
		if !ok {
			wait(ctx, news, 0)
			continue
		}
		conn, err := s.peers.get(ctx, address)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			s.replaceLeader(ctx, n, address)
			wait(ctx, news, s.cfg.timing.join)
		case err != nil:
			wait(ctx, news, s.cfg.timing.join)
		default:
			select {
			case <-conn.Done():
			case <-news:
			case <-ctx.Done():
			}
		}
	}
}

// wait waits for news, and no longer than d unless that is 0.
func wait(ctx context.Context, news <-chan struct{}, d time.Duration) {
	var after <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		after = t.C
	}
	select {
	case <-news:
	case <-after:
	case <-ctx.Done():
	}
}

// replaceLeader makes this node a candidate, after the voters that come before it by name have had their turn, unless
// one of them has become the leader.
func (s *Store) replaceLeader(ctx context.Context, n *node, lost string) {
	var voters []string
	for _, m := range n.servers() {
		if m.Suffrage == raft.Voter && string(m.Address) != lost {
			voters = append(voters, string(m.ID))
		}
	}
	slices.Sort(voters)
	turn := slices.Index(voters, s.cfg.Name)
	if turn < 0 {
		return
	}
	if turn > 0 {
		wait(ctx, n.news(), time.Duration(turn)*s.cfg.timing.stagger)
	}
	if address, ok := n.leaderAddress(); !ok || address != lost || ctx.Err() != nil {
		return
	}
	s.log.Info("the leader's process is gone: asking for votes", "leader", lost)
	s.campaign(n)
}

// campaign makes this node a candidate at once, by what a leader that hands over sends to its successor, from this node to
// itself. One that has become a candidate, or the leader, in the meantime is left alone: it would be elected once more.
func (s *Store) campaign(n *node) {
	if n.raft.State() != raft.Follower {
		return
	}
	self := raft.ServerID(s.cfg.Name)
	req := &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{
		ProtocolVersion: raft.ProtocolVersionMax,
		ID:              []byte(self),
		Addr:            n.transport.EncodePeer(self, s.address()),
	}}
	if err := n.transport.TimeoutNow(self, s.address(), req, &raft.TimeoutNowResponse{}); err != nil {
		s.log.Debug("asking for votes failed", "error", err)
	}
}
