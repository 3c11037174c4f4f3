package raftstore

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/parallel"
)

// unwritable is a log to which no vote can be written.
type unwritable struct{ memoryLog }

func (unwritable) Set([]byte, []byte) error { return syscall.EIO }

// brokenNode is a node on such a log, before Raft is started.
func brokenNode(t *testing.T) (n *node, failed *atomic.Pointer[error]) {
	t.Helper()
	failed = new(atomic.Pointer[error])
	cfg := Config{Name: "n1"}.withDefaults()
	files := &summedLog{logFiles: unwritable{memoryLog{InmemStore: raft.NewInmemStore(), values: map[string][]byte{}}}}
	n = &node{cfg: cfg, id: "n1/00000001", files: files, logs: watchLog(files, cfg, func(err error) { failed.CompareAndSwap(nil, &err) })}
	n.late = parallel.New(n.logs, func() bool { return false })
	n.transport = n.newTransport(questions{})
	t.Cleanup(func() {
		n.late.Close()
		n.logs.close()
	})
	return n, failed
}

// Raft writes its term when it is started. A disk that does not take it is an error, and no panic.
func TestStartOnABrokenDisk(t *testing.T) {
	n, failed := brokenNode(t)
	err := n.startRaft(&raft.MockFSM{}, n.late, raft.NewInmemSnapshotStore())
	if !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EIO) {
		t.Errorf("started with %v", err)
	}
	if why := failed.Load(); why == nil || !errors.Is(*why, syscall.EIO) {
		t.Errorf("the node is told %v", why)
	}
}

// A vote that can't be written is none, and Raft, which would panic, does not go on; but its goroutine ends, which closing
// the node waits for.
func TestVoteOnABrokenDisk(t *testing.T) {
	n, failed := brokenNode(t)
	n.logs.started.Store(true)
	ended := make(chan bool)
	go func() {
		back := false
		defer func() { ended <- back }()
		_ = votes{n.logs, n.late}.SetUint64([]byte("CurrentTerm"), 2)
		back = true
	}()
	if <-ended {
		t.Error("Raft goes on")
	}
	if why := failed.Load(); why == nil || !errors.Is(*why, syscall.EIO) {
		t.Errorf("the node is told %v", why)
	}
}

// Who was about to note a term when another began does not undo that.
func TestOlderTermDoesNotServe(t *testing.T) {
	n := new(node)
	n.serve(7)
	n.serve(5)
	if got := n.serving.Load(); got != 7 {
		t.Errorf("it serves in term %d", got)
	}
}
