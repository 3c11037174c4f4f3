package raftstore

import (
	"sync"
)

// What a node does with itself for long, in words.
const (
	doesJoin    = "joining a cluster"
	doesLeave   = "leaving its cluster"
	doesCompact = "compacting its files"
)

// claims keep apart what must not run at the same time: Join and Leave, which change what this node is, and Compact,
// which works on its files.
type claims struct {
	changing sync.Mutex
	mu       sync.Mutex
	doing    string // which of them holds changing
}

// claim locks changing for what must not run beside the others that do, and notes which it is.
func (s *claims) claim(what string) error {
	if !s.changing.TryLock() {
		return refuse("%s", busy(s.underWay()))
	}
	s.do(what)
	return nil
}

// busy says why a claim is refused.
func busy(what string) string {
	switch what {
	case doesCompact:
		return "this node is " + what + "; stopping the node ends that, harmlessly"
	case "":
		return "this node looks whether it still is a member of its cluster; ask again in a moment"
	}
	return "this node is " + what
}

func (s *claims) unclaim() {
	s.do("")
	s.changing.Unlock()
}

func (s *claims) do(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doing = what
}

// underWay is what the node is doing with itself, empty if nothing.
func (s *claims) underWay() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doing
}
