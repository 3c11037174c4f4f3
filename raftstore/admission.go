package raftstore

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distcache/distcache/raftstore/internal/peernet"
	"github.com/distcache/distcache/raftstore/internal/raftnode"
	"github.com/distcache/distcache/raftstore/internal/serverid"
	"github.com/distcache/distcache/wire"
)

// A hello is what nodes tell each other of themselves.
type hello struct {
	ID       serverid.ID  `json:"id"`
	Phase    phase        `json:"phase"`
	Founder  serverid.ID  `json:"founder,omitempty"`  // see found.go
	Founding string       `json:"founding,omitempty"` // Config.Cluster, in short
	Leader   peernet.Peer `json:"leader"`             // empty while there is none
	Status   Status       `json:"status"`
}

func (h hello) name() string { return h.ID.Name() }

// A memberRequest asks the leader about, or to do something with, one node: by its ID, or by the name that people know.
type memberRequest struct {
	ID       serverid.ID `json:"id,omitempty"`
	Name     string      `json:"name,omitempty"`
	Address  string      `json:"address,omitempty"`
	Dry      bool        `json:"dry,omitempty"`      // only say whether it would be done
	By       serverid.ID `json:"by,omitempty"`       // the asker
	Founding string      `json:"founding,omitempty"` // with opFound
}

// name is that of the node that a request is about.
func (r memberRequest) name() string {
	if r.ID != "" {
		return r.ID.Name()
	}
	return r.Name
}

type memberAnswer struct {
	Member  bool   `json:"member"`
	Address string `json:"address,omitempty"` // at which the cluster looks for the member
	Reason  string `json:"reason,omitempty"`  // why it is none any more, if there is more to be said
}

const (
	helloTimeout  = time.Second
	changeTimeout = 10 * time.Second // for Raft to commit a change of membership
	// leaderPatience is for how many times Config.Heartbeat a change waits for a leader. A new one takes a few.
	leaderPatience = 20
)

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}

// reasonOf is a refusal's text without the sentinel's.
func reasonOf(err error) string {
	return strings.TrimPrefix(err.Error(), ErrRefused.Error()+": ")
}

// handleMember answers another node.
func (s *peerService) handleMember(ctx context.Context, from serverid.ID, op wire.Op, payload []byte) (any, error) {
	if op == opHello {
		return s.hello(from), nil
	}
	var req memberRequest
	if err := json.Unmarshal(payload, &req); err != nil {
		return nil, errors.New("malformed request")
	}
	if !req.inOwnName(from, op) {
		s.bad.Warn("peer port: request refused: it is in the name of another node", "from", from, "request", memberOpName(op),
			"id", req.ID, "name", req.Name, "by", req.By)
		return nil, refuse("the request is in the name of another node")
	}
	if op == opFound {
		return s.founding.promise(req)
	}
	if op == opGranted {
		return memberAnswer{Member: s.admission.grants.has(req.Name, !req.Dry, time.Now())}, nil
	}
	return s.admission.leaderDoes(ctx, op, req)
}

// admission is what the leader does about the membership.
type admission struct {
	*core
	configuration sync.Mutex // held while the membership is changed

	grants grants

	mu     sync.Mutex
	vetted map[string]bool        // nodes whose requests are being looked into
	agreed agreement              // to take a node in
	forgot map[serverid.ID]string // members whose logs lack what they had acknowledged, and what that is
}

// leaderDoes carries out a request that only the leader can; errRetry on every other node.
func (s *admission) leaderDoes(ctx context.Context, op wire.Op, req memberRequest) (out memberAnswer, err error) {
	n := s.node.Load()
	if op == opMove {
		s.sawMember(n, req)
	}
	if op == opJoin && s.underWay() == doesJoin {
		return out, refuse("node %s is joining a cluster itself", s.cfg.Name)
	}
	if !n.leads() {
		return out, errRetry
	}
	if op == opMember {
		s.decided()
		return s.isMember(ctx, n, req)
	}
	// Other nodes are asked before, since they may take their time to answer.
	before := n.raft.Members()
	ready, err := s.vet(ctx, n, op, req)
	if err != nil {
		return out, err
	}
	// Whatever is being decided is committed, or not, before anything else is said or done.
	s.configuration.Lock()
	defer s.configuration.Unlock()
	if ctx.Err() != nil {
		return out, ctx.Err() // nobody waits for it any more
	}
	if s.frozen.Load() || ready != nil && !slices.Equal(before, n.raft.Members()) {
		return out, errRetry
	}
	if _, in := n.raft.Member(req.By); !in && req.By != "" && (op == opDrop || op == opTransfer) && req.By != req.ID {
		return out, refuse("%s, which was asked for it, is not a member any more", req.By.Name())
	}
	if ready != nil {
		err = ready()
	}
	if err == nil && op != opTransfer && !req.Dry {
		s.log.Info("membership", "request", memberOpName(op), "node", req.name(), "id", req.ID, "address", req.Address)
	}
	return out, err
}

// decided returns when what was being decided is committed, or not.
func (s *admission) decided() {
	s.configuration.Lock()
	defer s.configuration.Unlock()
}

// isMember tells a node whether it still belongs to the cluster. It must be sure: a node that does not stops for good.
func (s *admission) isMember(ctx context.Context, n *node, req memberRequest) (out memberAnswer, err error) {
	if err := n.confirm(ctx); err != nil {
		return out, errRetry
	}
	m, in := n.raft.Member(req.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	return memberAnswer{Member: in, Address: m.Address, Reason: s.forgot[req.ID]}, nil
}

func memberOpName(op wire.Op) string {
	switch op {
	case opJoin:
		return "join"
	case opMove:
		return "move"
	case opDrop:
		return "remove"
	case opTransfer:
		return "transfer"
	case opMember:
		return "ask whether it is a member"
	}
	return "other"
}

// hello is what this node says of itself to another. The status is for members.
func (s *peerService) hello(to serverid.ID) hello {
	id, n := s.identity(), s.node.Load()
	leader, ok := n.raft.Leader()
	if !ok && n.leads() {
		leader = peernet.Peer{ID: n.id, Address: string(s.address())}
	}
	h := hello{ID: id.ID(), Phase: id.Phase, Founder: id.Founder, Founding: s.cfg.founding(), Leader: leader}
	if n.raft.Knows(to) {
		h.Status = s.status()
	}
	return h
}

// vet looks into a request, which may mean to ask other nodes, and returns what carries it out. That is called with the
// membership as it was when vet was called; nil if there is nothing to do. One request of a node is looked into at a time.
func (s *admission) vet(ctx context.Context, n *node, op wire.Op, req memberRequest) (ready func() error, err error) {
	name := req.name()
	if op == opDrop || op == opTransfer {
		name = "" // of a member, which may ask for several
	}
	if name != "" {
		if !s.beginVetting(name) {
			return nil, errRetry
		}
		defer s.endVetting(name)
	}
	switch op {
	case opJoin:
		return s.admit(ctx, n, req)
	case opMove:
		return s.move(ctx, n, req)
	case opDrop:
		return s.drop(ctx, n, req)
	case opTransfer:
		return s.transfer(ctx, n, req.Name)
	}
	return nil, errors.New("unknown request")
}

func (s *admission) beginVetting(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.vetted[name] || len(s.vetted) >= maxVetted {
		return false
	}
	if s.vetted == nil {
		s.vetted = make(map[string]bool)
	}
	s.vetted[name] = true
	return true
}

func (s *admission) endVetting(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.vetted, name)
}

// maxVetted bounds the nodes whose requests are looked into at once.
const maxVetted = 16

// admit takes a new server into the cluster as a nonvoter; the leader makes it a voter when it has caught up. A node
// that lost its files is a new server under its old name: the old one, which can't come back, is removed first.
func (s *admission) admit(ctx context.Context, n *node, req memberRequest) (ready func() error, err error) {
	if !req.ID.Valid() {
		return nil, refuse("%q is not a node's ID", req.ID)
	}
	if m, in := n.raft.Member(req.ID); in {
		if m.Address == req.Address || req.Dry {
			return nil, nil
		}
		return s.move(ctx, n, req) // it asks again, from another address
	}
	name := req.name()
	if !s.mayJoin(ctx, n, name) {
		return nil, refuse("%s may not join: it is no member, and nobody has granted it", name)
	}
	for _, m := range n.raft.Members() {
		if m.Address == req.Address && m.ID.Name() != name {
			return nil, refuse("the address %s belongs to node %s; if that one is gone, remove it first",
				m.Address, m.ID.Name())
		}
	}
	if err := s.isThere(ctx, n, name, req.Address); err != nil {
		s.log.Warn("a node that wants to join was refused", "node", name, "address", req.Address, "error", err)
		return nil, refuse("node %s can't reach %s at %s; its log has more", n.cfg.Name, name, req.Address)
	}
	old, known := n.raft.Named(name)
	if known && old.Address != req.Address {
		if _, up := s.greetMember(ctx, n, old); up {
			return nil, refuse("a node called %s is a member already and is up, at %s: the new one needs another name",
				name, old.Address)
		}
	}
	if known && old.Voter && !req.Dry {
		if err := s.enoughWithout(ctx, n, old.ID); err != nil {
			return nil, err
		}
	}
	return func() error {
		if req.Dry {
			s.mu.Lock()
			s.agreed = agreement{name, time.Now()}
			s.mu.Unlock()
			return nil
		}
		if known {
			if err := asRetry(n.raft.Remove(old.ID)); err != nil {
				return err
			}
		}
		err := asRetry(n.raft.AddNonvoter(req.ID, req.Address))
		if err == nil && !known {
			s.wg.Go(func() { s.useGrant(n, name) })
		}
		return err
	}, nil
}

// drop takes a member out of the cluster. A leader that is to go hands over first.
func (s *admission) drop(ctx context.Context, n *node, req memberRequest) (ready func() error, err error) {
	if req.ID != "" && !req.ID.Valid() {
		return nil, refuse("%q is not a node's ID", req.ID)
	}
	m, ok := n.raft.Member(req.ID)
	if req.ID == "" {
		m, ok = n.raft.Named(req.Name)
	}
	if !ok && req.ID != "" {
		if _, other := n.raft.Named(req.name()); other {
			return nil, refuse("the node called %s was replaced by another", req.name())
		}
		return func() error { return nil }, nil // it left, asked again since the answer was lost
	}
	if !ok {
		return nil, refuse("there is no node %s; the members are %s", req.Name, memberNames(n))
	}
	if len(n.raft.Members()) == 1 {
		return nil, refuse("%s is the only member", m.ID.Name())
	}
	if m.Voter {
		if err := s.enoughWithout(ctx, n, m.ID); err != nil {
			return nil, err
		}
	}
	if m.ID == n.id {
		handOver, err := s.transfer(ctx, n, "")
		if err != nil {
			return nil, err
		}
		return func() error { return cmp.Or(handOver(), errRetry) }, nil
	}
	return func() error { return asRetry(n.raft.Remove(m.ID)) }, nil
}

// enoughWithout refuses to remove a voter when too few of the others are up: the cluster could not go on, nor be helped
// by adding nodes.
func (s *admission) enoughWithout(ctx context.Context, n *node, id serverid.ID) error {
	voters, up := 0, 0
	var down []string
	for _, m := range n.raft.Members() {
		if !m.Voter || m.ID == id {
			continue
		}
		voters++
		if m.ID == n.id {
			up++
			continue
		}
		if _, ok := s.greetMember(ctx, n, m); ok {
			up++
		} else {
			down = append(down, m.ID.Name())
		}
	}
	if voters == 0 {
		return refuse("%s is the only voter", id.Name())
	}
	if up <= voters/2 {
		return refuse("without %s there would be no majority: %d of the %d other voters can be reached, but not %s",
			id.Name(), up, voters, strings.Join(down, ", "))
	}
	return nil
}

func memberNames(n *node) string {
	var names []string
	for _, m := range n.raft.Members() {
		names = append(names, m.ID.Name())
	}
	return strings.Join(names, ", ")
}

// asRetry is an error of a change of membership as errRetry, where that is what it means.
func asRetry(err error) error {
	if errors.Is(err, raftnode.ErrNotLeader) {
		return errRetry
	}
	return err
}

// transfer hands leadership to the named voter, or to whichever answers and has most of the log. It asks before it
// hands over: while Raft waits for a node that does not answer, or that is being sent a snapshot, it takes no writes.
func (s *admission) transfer(ctx context.Context, n *node, name string) (ready func() error, err error) {
	if name == n.cfg.Name {
		return func() error { return nil }, nil
	}
	here, _ := n.state.Applied()
	var best raftnode.Member
	var applied uint64
	var problem error
	for _, m := range n.raft.Members() {
		if m.ID == n.id || name != "" && m.ID.Name() != name {
			continue
		}
		if !m.Voter {
			problem = refuse("%s is not a voter yet", m.ID.Name())
			continue
		}
		h, ok := s.greetMember(ctx, n, m)
		if !ok {
			problem = refuse("%s does not answer at %s", m.ID.Name(), m.Address)
			continue
		}
		if best.ID == "" || h.Status.Applied > applied {
			best, applied = m, h.Status.Applied
		}
	}
	switch {
	case best.ID != "":
	case problem != nil:
		return nil, problem
	case name == "":
		return nil, refuse("%s is the only member", n.cfg.Name)
	default:
		return nil, refuse("there is no node %s; the members are %s", name, memberNames(n))
	}
	if applied < here {
		if err := s.caughtUp(ctx, n, best, here); err != nil {
			return nil, err
		}
	}
	return func() error { return n.raft.HandOver(ctx, best) }, nil
}

// caughtUp waits a moment until a member has applied the log up to an index.
func (s *admission) caughtUp(ctx context.Context, n *node, m raftnode.Member, index uint64) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.timing.hello)
	defer cancel()
	t := time.NewTicker(retryPause)
	defer t.Stop()
	for {
		if h, ok := s.greetMember(ctx, n, m); ok && h.Status.Applied >= index {
			return nil
		}
		select {
		case <-t.C:
		case <-s.ended:
			return s.why()
		case <-ctx.Done():
			return fmt.Errorf("leadership was not handed over: %s has not caught up: %w", m.ID.Name(), ctx.Err())
		}
	}
}

// move notes a member's new address. Where it was another member's, that one is not there any more, and tells its own
// when it is up: addresses may go round among nodes.
func (s *admission) move(ctx context.Context, n *node, req memberRequest) (ready func() error, err error) {
	m, ok := n.raft.Member(req.ID)
	if !ok {
		return nil, refuse("%s is not a member", req.ID)
	}
	before, taken := n.raft.MemberAt(req.Address)
	if taken || req.ID != n.id {
		if err := s.answersAt(ctx, n, req.ID, req.Address); err != nil {
			return nil, err
		}
	}
	return func() error {
		switch {
		case taken && before.ID == m.ID:
			return nil
		case taken:
			if err := asRetry(n.raft.SetAddress(before, nowhere(before.ID))); err != nil {
				return err
			}
		}
		return asRetry(n.raft.SetAddress(m, req.Address))
	}, nil
}

// answersAt refuses an address at which a server can't be reached.
func (s *admission) answersAt(ctx context.Context, n *node, id serverid.ID, address string) error {
	if err := checkAddress(address); err != nil {
		return refuse("the address that a node advertises: %v", err)
	}
	if _, err := s.greet(ctx, peernet.Peer{ID: id, Address: address}); err == nil {
		return nil
	}
	return s.isThere(ctx, n, id.Name(), address)
}

// isThere refuses an address at which no node of a name can be reached.
func (s *admission) isThere(ctx context.Context, n *node, name, address string) error {
	if err := checkAddress(address); err != nil {
		return refuse("the address that a node advertises: %v", err)
	}
	h, err := s.greet(ctx, peernet.Peer{Address: address})
	if err != nil {
		return refuse("node %s can't reach %s at %s: %v", n.cfg.Name, name, address, err)
	}
	if h.name() != name {
		return refuse("another node, %s, answers at %s, which %s advertises", h.name(), address, name)
	}
	return nil
}

// nowhere stands for the address of a member that is not where it was: no two may have the same, and none can be empty.
func nowhere(id serverid.ID) string { return "unknown:" + string(id) }

// sawMember takes note of where another member says that it is.
func (s *admission) sawMember(n *node, req memberRequest) {
	if _, in := n.raft.Member(req.ID); in && req.ID != n.id && n.layer != nil && checkAddress(req.Address) == nil {
		n.layer.Seen(peernet.Peer{ID: req.ID, Address: req.Address})
	}
}

// agreement is whom this node, as a leader, has told so last.
func (s *admission) agreement() agreement {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.agreed
}

// An agreement is whom a leader has told that it would take it in.
type agreement struct {
	with string // the name
	when time.Time
}

// agreementLife is how long a node keeps to having said that it would take another one in: that one asks for it at
// once.
const agreementLife = 2 * dryPatience
