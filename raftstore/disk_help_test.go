package raftstore

import (
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

// A Disk is what a test has put below the log of a node.
type Disk struct {
	raftlog.Files
	reached chan struct{}
	write   atomic.Pointer[func() error]
}

// disks are those of nodes in tests, by data directory.
var disks sync.Map

// WatchDisk has a node that is started with a configuration keep its log on a Disk.
func WatchDisk(cfg *Config) {
	cfg.hooks.logFiles = func(path string, opts raftlog.Options) (raftlog.Files, error) {
		f, err := raftlog.OpenFiles(path, opts)
		d := &Disk{Files: f, reached: make(chan struct{}, 1)}
		disks.Store(filepath.Dir(path), d)
		return d, err
	}
}

// StoreLogs does what the test says before it stores entries.
func (d *Disk) StoreLogs(es []*raft.Log) error {
	if write := d.write.Load(); write != nil {
		select {
		case d.reached <- struct{}{}:
		default:
		}
		if err := (*write)(); err != nil {
			return err
		}
	}
	return d.Files.StoreLogs(es)
}

// Reached gets something when entries are to be stored.
func (d *Disk) Reached() <-chan struct{} { return d.reached }

// OnDisk has a function called before this node, which has a Disk, stores log entries.
func (s *Store) OnDisk(write func() error) *Disk {
	d, _ := disks.Load(s.cfg.Dir)
	disk := d.(*Disk)
	disk.write.Store(&write)
	return disk
}

// Serving overwrites the term in which this node is taken to lead.
func (s *Store) Serving(term uint64) { s.node.Load().serving.Store(term) }

// Leads tells whether it does.
func (s *Store) Leads() bool { return s.node.Load().leads() }

// KeepOfLog takes a snapshot and keeps so many entries of the log.
func (s *Store) KeepOfLog(entries uint64) error { return s.node.Load().raft.Snapshot(entries) }
