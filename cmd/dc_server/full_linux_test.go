package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/procs"
)

// A node whose disk is full stops, saying so, and has all that it acknowledged when there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := single(t, ctx, "n1")
	fi, err := os.Stat(filepath.Join(s.Dir, "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	// No file may grow beyond what the log has now: to the program that is much the same as a full disk.
	limit := unix.Rlimit{Cur: uint64(fi.Size()), Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(s.Pid(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	c := connect(t, s)
	data := bytes.Repeat([]byte("0123456789"), 3000)
	var stored int
	for s.Running() {
		if ctx.Err() != nil {
			t.Fatal("the disk does not get full")
		}
		if c.Add(ctx, fmt.Append(nil, "id", stored), data, time.Hour) != nil {
			break
		}
		stored++
	}
	died(t, ctx, s, 1, "disk failed: write")
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	serving(t, ctx, s)
	for i := range stored {
		if got, err := c.Get(ctx, fmt.Append(nil, "id", i)); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("session %d of %d: %d bytes, %v", i, stored, len(got), err)
		}
	}
	if err := c.Add(ctx, []byte("more"), data, time.Hour); err != nil {
		t.Error(err)
	}
	t.Logf("%d sessions stored before the disk was full", stored)
}

// A leader whose disk is full ends without the requests that wait in it, and says what it is that has failed, and only
// that.
func TestLeadersDiskFull(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	servers, err := procs.NewCluster(processes(t), 3, "-timeout", long)
	if err != nil {
		t.Fatal(err)
	}
	startAll(t, servers)
	leader := serving(t, ctx, servers...)
	fi, err := os.Stat(filepath.Join(leader.Dir, "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	limit := unix.Rlimit{Cur: uint64(fi.Size()), Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(leader.Pid(), unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	c := connect(t, leader)
	data := bytes.Repeat([]byte("0123456789"), 3000)
	// one at a time: nothing has it try again
	for i := 0; c.Add(ctx, fmt.Append(nil, "id", i), data, time.Hour) == nil; i++ {
		if ctx.Err() != nil {
			t.Fatal("the disk does not get full")
		}
	}
	died(t, ctx, leader, 1, "disk failed: write")
	if strings.Contains(leader.Log(), "within") {
		t.Errorf("its last words:\n%s", leader.Log()[max(0, len(leader.Log())-1000):])
	}
}
