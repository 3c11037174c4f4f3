package raftstore

import (
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/raftlog"
)

// unwritable is a log to which no vote can be written.
type unwritable struct{ raftlog.Files }

func (unwritable) Set([]byte, []byte) error { return syscall.EIO }

// Raft writes its term when it is started. A disk that does not take it is an error, and no panic.
func TestStartOnABrokenDisk(t *testing.T) {
	var failed atomic.Pointer[error]
	logs, err := raftlog.Open(raftlog.Options{
		Dir: t.TempDir(),
		OpenFiles: func(path string, opts raftlog.Options) (raftlog.Files, error) {
			f, err := raftlog.OpenFiles(path, opts)
			return unwritable{f}, err
		},
		Fail: func(err error) { failed.CompareAndSwap(nil, &err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	n := &node{cfg: Config{Name: "n1"}.withDefaults(), id: "n1/00000001", logs: logs}
	n.transport = n.newTransport(questions{})
	err = n.startRaft(&raft.MockFSM{}, logs, raft.NewInmemSnapshotStore())
	if !errors.Is(err, ErrDisk) || !errors.Is(err, syscall.EIO) {
		t.Errorf("started with %v", err)
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
