package raftstore

import (
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const (
	foundPause = 100 * time.Millisecond
	// foundPatience is how long a new node waits for all the others to be there before a majority will do.
	foundPatience = 3 * time.Second
)

// found starts the cluster whose nodes are all configured alike, or finds that it was started before.
//
// Every node writes the same first log entry, and may do so at any time as long as it has never taken part in the
// cluster before: a node that lost its files would forget what it acknowledged and voted for. So a new node asks the
// others first. When all of them are new too, or after a while a majority is, it begins and notes whom it heard from:
// those may begin as well when they ask later. A node that is not among them joins instead.
func (s *Store) found(n *node) {
	deadline := time.Now().Add(s.cfg.timing.foundPatience)
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-n.stop:
			return
		case <-s.ended:
			return
		case <-t.C:
		}
		id := s.identity()
		founders := map[string]string{id.Name: id.Instance}
		begin, member := false, false
		var problems []string
		for _, c := range s.cfg.Cluster {
			if c.Name == id.Name {
				continue
			}
			h, err := s.greet(s.ctx, c.Address)
			switch {
			case err != nil:
				continue
			case h.Name != c.Name:
				problems = append(problems, "the node at "+c.Address+" is called "+h.Name+", not "+c.Name+" as in -cluster")
				continue
			case h.Phase == phaseNew && h.Founding != s.cfg.founding():
				problems = append(problems, "the node "+c.Name+" at "+c.Address+" was started with another -cluster, which must be the same on all")
				continue
			case h.Phase == phaseNew && len(h.Founders) == 0:
				founders[h.Name] = h.Instance
			case h.Founders[id.Name] == id.Instance && h.Founding == s.cfg.founding():
				founders[h.Name] = h.Instance
				begin = true
			default:
				member = true
			}
		}
		enough := len(founders) == len(s.cfg.Cluster) ||
			len(founders) > len(s.cfg.Cluster)/2 && time.Now().After(deadline)
		switch {
		case begin, enough && !member:
			if err := s.begin(n, founders); err != nil {
				s.end(err)
			}
			return
		case member:
			s.log.Info("the cluster exists: joining it")
			s.join(n, s.clusterAddresses())
			return
		}
		switch {
		case len(problems) > 0: // what others have to be told, or to be started with, says more than that they are missing
			s.setReason(strings.Join(problems, "; "))
		case time.Now().After(deadline):
			s.setReason("waiting for a majority of the nodes in -cluster to be up")
		}
		t.Reset(s.cfg.timing.found)
	}
}

// begin writes the first log entry of the cluster.
func (s *Store) begin(n *node, founders map[string]string) error {
	if err := s.remember(func(id *identity) { id.Founders = founders }); err != nil {
		return err
	}
	var c raft.Configuration
	for _, m := range s.cfg.Cluster {
		c.Servers = append(c.Servers, raft.Server{ID: raft.ServerID(m.Name), Address: raft.ServerAddress(m.Address)})
	}
	if len(c.Servers) > 1 {
		n.openDoor()
	}
	s.log.Info("starting the cluster", "nodes", len(c.Servers), "heard from", len(founders))
	return s.bootstrap(n, c)
}

func (s *Store) clusterAddresses() []string {
	var list []string
	for _, c := range s.cfg.Cluster {
		list = append(list, c.Address)
	}
	return list
}
