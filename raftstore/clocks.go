package raftstore

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
)

const (
	// clockTick is how often a node asks the others what time it is, and how long their answers may take. An answer may
	// be behind by that.
	clockTick = time.Second
	// clockSlack is how far the log's time may be behind the voters' clocks, or a node's clock differ from them, before
	// something is done or said about it: more than an answer may be wrong.
	clockSlack = time.Second
	// clockJump is how far the log's time goes forward before that is worth a warning.
	clockJump = time.Minute
	// clockPatience is how long a new leader waits for the voters' clocks before it goes on without them.
	clockPatience = 2 * clockTick
	// lastTime bounds what is believed to be a time, in ms since 1970: the year 10889.
	lastTime = 1 << 48
)

// A ClockOffset is how far a member's wall clock is ahead of the voters', or behind when it is negative.
type ClockOffset struct {
	Node   string
	Offset time.Duration
}

// voterClocks are the members' wall clocks, as they said last.
type voterClocks struct {
	mu   sync.Mutex
	said map[serverid.ID]moment

	askNow chan struct{} // the members, see watchClocks
	agreed chan struct{} // the voters' clocks have
	wrong  []string      // whose clock is, that was logged; watchClocks' own
}

func newVoterClocks() *voterClocks {
	return &voterClocks{said: make(map[serverid.ID]moment), askNow: make(chan struct{}, 1), agreed: make(chan struct{}, 1)}
}

// heard notes what a member's clock said.
func (v *voterClocks) heard(id serverid.ID, m moment) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.said[id] = m
}

// agree gives the median of the voters' clocks, of an even number the lower of the two in the middle; so one wrong
// clock of three takes the time nowhere, and of two the lesser counts. It needs a majority of the voters, lest a leader
// with a wrong clock that reaches nobody goes by that alone.
func (v *voterClocks) agree(servers []raftnode.Member, now time.Time) (median uint64, offsets []ClockOffset, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	voters := 0
	var clocks []uint64
	says := make(map[serverid.ID]uint64, len(servers))
	for _, s := range servers {
		if s.Voter {
			voters++
		}
		m, known := v.said[s.ID]
		if !known || now.Sub(m.at) > agreedFor {
			continue
		}
		says[s.ID] = m.on(now)
		if s.Voter {
			clocks = append(clocks, says[s.ID])
		}
	}
	for id := range v.said {
		if _, ok := says[id]; !ok {
			delete(v.said, id) // too old, or no member's
		}
	}
	if len(clocks) <= voters/2 {
		return 0, nil, false
	}
	slices.Sort(clocks)
	median = clocks[(len(clocks)-1)/2]
	for id, ms := range says {
		offsets = append(offsets, ClockOffset{id.Name(), time.Duration(int64(ms)-int64(median)) * time.Millisecond})
	}
	slices.SortFunc(offsets, func(a, b ClockOffset) int { return cmp.Compare(a.Node, b.Node) })
	return median, offsets, true
}

// wrong says which clocks differ from the voters', empty when none does.
func wrong(offsets []ClockOffset) string {
	var parts []string
	for _, o := range offsets {
		switch {
		case o.Offset > clockSlack:
			parts = append(parts, fmt.Sprintf("%s is %v ahead", o.Node, o.Offset.Round(time.Second)))
		case o.Offset < -clockSlack:
			parts = append(parts, fmt.Sprintf("%s is %v behind", o.Node, -o.Offset.Round(time.Second)))
		}
	}
	return strings.Join(parts, ", ")
}

// watchClocks asks the members what time it is, again and again, and at once when askClocksNow was called.
func (n *node) watchClocks(ask func(context.Context, peernet.Peer) (clockAnswer, error)) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	t := time.NewTicker(n.cfg.timing.clock)
	defer t.Stop()
	for {
		n.askClocks(ctx, ask)
		select {
		case <-n.stop:
			return
		case <-t.C:
			n.warnOfClocks()
		case <-n.clocks.askNow:
		}
	}
}

func (n *node) askClocksNow() {
	select {
	case n.clocks.askNow <- struct{}{}:
	default:
	}
}

// askClocks asks every member, and does not wait for the answers.
func (n *node) askClocks(ctx context.Context, ask func(context.Context, peernet.Peer) (clockAnswer, error)) {
	self := n.id
	n.clocks.heard(self, moment{wall(n.cfg.wallClock()), time.Now()})
	n.agree()
	for _, s := range n.raft.Members() {
		if s.ID == self {
			continue
		}
		n.wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, n.cfg.timing.clock)
			defer cancel()
			if a, err := ask(ctx, n.raft.Peer(s)); err == nil {
				n.heardClock(s, a)
			}
		})
	}
}

func (n *node) heardClock(s raftnode.Member, a clockAnswer) {
	n.clocks.heard(s.ID, a.wall)
	n.agree()
	if leader := n.raft.LeaderID(); leader == s.ID {
		n.clock.follow(a.log.on(time.Now()))
	}
}

// agree has the log clock know what the voters' clocks agree on, and wakes a new leader that waits for that.
func (n *node) agree() {
	now := time.Now()
	ms, _, ok := n.clocks.agree(n.raft.Members(), now)
	if !ok {
		return
	}
	n.clock.agree(ms, now)
	select {
	case n.clocks.agreed <- struct{}{}:
	default:
	}
}

// knowsTime tells whether a leader, since then, may give stamps. It asks the voters' clocks first. If they don't answer
// it goes on from the last stamp; but sessions that are added before the first stamp of all would expire at the second.
func (n *node) knowsTime(since time.Time) bool {
	if n.clock.agrees() {
		return true
	}
	n.askClocksNow()
	stamp, _ := n.state.Clock()
	return stamp > 0 && time.Since(since) > n.cfg.timing.clockPatience
}

// clockOffsets are the clocks of the members, by name; nil while too few of the voters' are known.
func (n *node) clockOffsets() []ClockOffset {
	_, offsets, _ := n.clocks.agree(n.raft.Members(), time.Now())
	return offsets
}

// warnOfClocks logs which clocks are wrong, on the leader, when those are others than before.
func (n *node) warnOfClocks() {
	if !n.leads() {
		return
	}
	var names []string
	offsets := n.clockOffsets()
	for _, o := range offsets {
		if o.Offset.Abs() > clockSlack {
			names = append(names, o.Node)
		}
	}
	if slices.Equal(names, n.clocks.wrong) {
		return
	}
	n.clocks.wrong = names
	if len(names) > 0 {
		n.log.Warn("clocks of nodes differ from the median of the voters', which the log's time follows", "clocks", wrong(offsets))
	} else {
		n.log.Info("the clocks of all nodes agree again")
	}
}

// A clockAnswer is what a node says when it is asked for the time: u64 its wall clock and u64 the log's time as it goes
// on with it, both in ms since 1970.
type clockAnswer struct{ wall, log moment }

// appendClocks gives this node's own answer.
func (n *node) appendClocks(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(dst, wall(n.cfg.wallClock()))
	return binary.BigEndian.AppendUint64(dst, n.clock.read())
}

// parseClocks reads what a node said at a time.
func parseClocks(b []byte, at time.Time) (a clockAnswer, ok bool) {
	if len(b) != 16 {
		return a, false
	}
	a.wall = moment{binary.BigEndian.Uint64(b), at}
	a.log = moment{binary.BigEndian.Uint64(b[8:]), at}
	return a, a.wall.ms <= lastTime && a.log.ms <= lastTime
}
