package raftstore

import "github.com/hashicorp/raft"

// A Disk is what a test has put below the log of a node.
type Disk struct {
	raft.LogStore
	reached chan struct{}
	write   func() error
}

// StoreLogs does what the test says before it stores entries.
func (d *Disk) StoreLogs(es []*raft.Log) error {
	select {
	case d.reached <- struct{}{}:
	default:
	}
	if err := d.write(); err != nil {
		return err
	}
	return d.LogStore.StoreLogs(es)
}

// Reached gets something when entries are to be stored.
func (d *Disk) Reached() <-chan struct{} { return d.reached }

// OnDisk has a function called before this node stores log entries. Nothing may be under way: the node leads, or is told
// of nothing.
func (s *Store) OnDisk(write func() error) *Disk {
	n := s.node.Load()
	d := &Disk{n.logs.LogStore, make(chan struct{}, 1), write}
	n.logs.LogStore = d
	return d
}

// Serving overwrites the term in which this node is taken to lead.
func (s *Store) Serving(term uint64) { s.node.Load().serving.Store(term) }

// Leads tells whether it does.
func (s *Store) Leads() bool { return s.node.Load().leads() }

// KeepOfLog takes a snapshot and keeps so many entries of the log.
func (s *Store) KeepOfLog(entries uint64) error { return s.node.Load().snapshot(entries) }
