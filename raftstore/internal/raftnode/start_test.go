package raftnode

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/wire"
)

// A machine applies nothing. Apply of each entry waits until the test releases it.
type machine struct {
	entered chan struct{}
	let     chan struct{}
	applied atomic.Uint64
}

func (m *machine) Apply(index, _ uint64, _ []byte) ([]wire.Status, error) {
	m.entered <- struct{}{}
	<-m.let
	m.applied.Store(index)
	return nil, nil
}
func (m *machine) Advance(index, _ uint64)       { m.applied.Store(index) }
func (m *machine) Install(string) error          { return errors.New("no snapshots") }
func (m *machine) Flush() error                  { return nil }
func (m *machine) Applied() (index, term uint64) { return m.applied.Load(), 1 }
func (m *machine) Flushed() (uint64, int64)      { return m.applied.Load(), 0 }

// options are the options of a single node on an empty directory.
func options(t *testing.T, m Machine, log raftlog.Options) Options {
	t.Helper()
	log.Dir, log.Self = t.TempDir(), "n1/00000001"
	logs, err := raftlog.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logs.Close() })
	snapshots, err := snapstore.Open(filepath.Join(log.Dir, "snapshots"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return Options{ID: log.Self, Log: logs, Machine: m, Snapshots: snapshots, Logger: slog.New(slog.DiscardHandler),
		Heartbeat: 50 * time.Millisecond, Lease: 50 * time.Millisecond, LogBytes: 1 << 20,
		Fail: func(err error) { t.Errorf("the node was given up: %v", err) }}
}

// unwritable is a log that can't store a vote.
type unwritable struct{ raftlog.Files }

func (unwritable) Set([]byte, []byte) error { return syscall.EIO }

// Raft writes its term when it is started. A write error must not become a panic.
func TestStartOnABrokenDisk(t *testing.T) {
	var failed atomic.Pointer[error]
	n, err := Start(options(t, &machine{}, raftlog.Options{
		OpenFiles: func(path string, opts raftlog.Options) (raftlog.Files, error) {
			f, err := raftlog.OpenFiles(path, opts)
			return unwritable{f}, err
		},
		Fail: func(err error) { failed.CompareAndSwap(nil, &err) },
	}))
	if n != nil || !errors.Is(err, raftlog.ErrDisk) || !errors.Is(err, syscall.EIO) {
		t.Errorf("started with %v", err)
	}
	if why := failed.Load(); why == nil || !errors.Is(*why, syscall.EIO) {
		t.Errorf("the node is told %v", why)
	}
}

// When the node is stopped, nobody waits for an entry for ever: Raft forgets entries on their way to the state machine.
func TestNothingWaitsForAStoppedNode(t *testing.T) {
	m := &machine{entered: make(chan struct{}, 100), let: make(chan struct{})}
	n, err := Start(options(t, m, raftlog.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Bootstrap([]Member{{ID: n.ID(), Address: "local"}}); err != nil {
		t.Fatal(err)
	}
	n.Stand(t.Context())
	if !<-n.Leads() {
		t.Fatal("no leader")
	}
	var waits []func() ([]wire.Status, error)
	for range 20 {
		waits = append(waits, n.Propose([]byte("entry")))
	}
	<-m.entered
	n.Stop()
	close(m.let)
	for _, wait := range waits {
		if _, err := wait(); err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrNotProposed) {
			t.Errorf("an entry came to %v", err)
		}
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}

// During a leadership transfer Raft refuses entries. If the transfer does not end in time, the node fails, and not
// earlier.
func TestStuckTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failed error
		fail := func(err error) { failed = err }
		var s stuckTransfer
		stuck := fmt.Errorf("propose: %w", raft.ErrLeadershipTransferInProgress)
		for range 3 {
			s.watch(stuck, fail)
			time.Sleep(transferPatience)
			s.watch(nil, fail)
		}
		s.watch(stuck, fail)
		time.Sleep(transferPatience)
		if s.watch(stuck, fail); failed != nil {
			t.Errorf("given up for %v", failed)
		}
		time.Sleep(time.Nanosecond)
		if s.watch(stuck, fail); failed == nil {
			t.Error("a transfer that does not end goes unnoticed")
		}
	})
}
