package raftstore

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A disk that takes long to take node.json holds up nobody who asks what the node knows, nor its end.
func TestHungIdentity(t *testing.T) {
	t.Parallel()
	s, err := Open(Config{Dir: t.TempDir(), Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Add(ctx, []byte("id"), []byte("data"), time.Hour); err != nil { // it has become a member
		t.Fatal(err)
	}
	pipe := filepath.Join(s.cfg.Dir, identityFile+".new")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	begun, remembered := make(chan struct{}), make(chan error, 1)
	go func() {
		remembered <- s.remember(func(*identity) { close(begun) }) // until somebody reads
	}()
	<-begun
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Status()
		s.peerPort.hello("")
		s.end(ErrDisk)
		<-s.Done()
		if err := s.Err(); err != ErrDisk {
			t.Errorf("it ended with %v", err)
		}
	}()
	select {
	case <-done:
	case <-ctx.Done():
		t.Error("node.json is waited for")
	}
	f, err := os.Open(pipe)
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, f)
	<-remembered
	f.Close()
	<-done
	s.Close()
}
