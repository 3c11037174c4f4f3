package raftstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/distcache/distcache/wire"
)

// What clients do: each makes a call at a time, on one of a few ids, all of which are left for new ones after a while,
// so that the story of an id is short.
const (
	simClients = 6
	simIDs     = 6 // in use at a time
	simIDCalls = 40
	simCall    = 150 * time.Millisecond // how long a client waits
	simEarly   = 40 * time.Millisecond  // a session may end so long before its end: as much as a clock's answer takes, see peers.clock
	simLate    = 100 * time.Millisecond // a session may be returned for so long after its end: a tenth of what is promised
)

// A clientHistory is what the clients did and heard.
type clientHistory struct {
	s      *sim
	values atomic.Uint64

	mu    sync.Mutex
	ops   map[int][]simOp // by id
	slots [simIDs]int     // the ids in use
	begun map[int]int     // calls
	next  int
}

func newHistory(s *sim) *clientHistory {
	h := &clientHistory{s: s, ops: map[int][]simOp{}, begun: map[int]int{}}
	for i := range h.slots {
		h.slots[i], h.next = h.next, h.next+1
	}
	return h
}

// choose gives the id of a slot, a new one when enough was done with the one before.
func (h *clientHistory) choose(slot int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	id := h.slots[slot]
	h.begun[id]++
	if h.begun[id] >= simIDCalls {
		h.slots[slot], h.next = h.next, h.next+1
	}
	return id
}

// client makes calls until ctx ends.
func (h *clientHistory) client(ctx context.Context, number int) {
	rng := rand.New(rand.NewPCG(h.s.seed, uint64(number)))
	for ctx.Err() == nil {
		slot, what, where, pause := rng.IntN(simIDs), rng.IntN(10), rng.IntN(1<<16), rng.IntN(4)
		timeout := time.Hour
		if rng.IntN(2) == 0 {
			timeout = time.Duration(30+rng.IntN(200)) * time.Millisecond
		}
		size := 8 + rng.IntN(120)
		time.Sleep(time.Duration(pause) * time.Millisecond)
		p := h.s.nodes[where%len(h.s.nodes)].running()
		for i := range h.s.nodes {
			if p == nil {
				p = h.s.nodes[(where+i)%len(h.s.nodes)].running()
			}
		}
		if p == nil {
			continue
		}
		o := simOp{kind: wire.OpGet, timeout: timeout, by: fmt.Sprintf("c%d %s", number, p.who)}
		switch {
		case what < 4:
			o.kind = wire.OpAdd
		case what < 6:
			o.kind = wire.OpRemove
		case what < 7:
			o.kind = wire.OpHave
		}
		h.do(p, h.choose(slot), o, size, simCall)
	}
}

// do makes a call and notes it.
func (h *clientHistory) do(p *process, id int, o simOp, size int, patience time.Duration) (answered bool) {
	key := fmt.Appendf(nil, "session %d", id)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var data []byte
	if o.kind == wire.OpAdd {
		o.value = h.values.Add(1)
		data = binary.BigEndian.AppendUint64(make([]byte, 0, size), o.value)[:size]
	}
	o.call = h.s.now()
	var err error
	switch o.kind {
	case wire.OpAdd:
		err = p.Add(ctx, key, data, o.timeout)
	case wire.OpRemove:
		err = p.Remove(ctx, key)
	case wire.OpGet:
		data, err = p.Get(ctx, key)
		if len(data) >= 8 {
			o.value = binary.BigEndian.Uint64(data)
		}
	case wire.OpHave:
		err = p.Have(ctx, key)
	}
	o.ret = h.s.now()
	switch {
	case err == nil:
		o.ok = true
	case errors.Is(err, wire.NotOK), errors.Is(err, wire.MatchingSession):
	default:
		o.unknown = true
	}
	h.s.calls.Add(1)
	if !o.unknown {
		h.s.answered.Add(1)
	}
	h.mu.Lock()
	h.ops[id] = append(h.ops[id], o)
	h.mu.Unlock()
	return !o.unknown
}

// check holds the story of each id against what a store may do.
func (h *clientHistory) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for id := range h.next {
		if what := verdict(h.ops[id], h.s.early, h.s.late); what != "" {
			h.s.fail(what, "session %d: %s", id, story(h.ops[id]))
		}
	}
}

// readAll reads every id once through one of the nodes.
func (h *clientHistory) readAll(rng *rand.Rand, nodes []*simNode) {
	for id := range h.next {
		if p := nodes[rng.IntN(len(nodes))].running(); p != nil && h.begun[id] > 0 {
			h.do(p, id, simOp{kind: wire.OpGet, by: "end " + p.who}, 0, time.Second)
		}
	}
}
