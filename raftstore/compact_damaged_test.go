package raftstore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// Compact reads the log to find how much of it to keep. An entry that the disk has changed is no matter of its own: the
// node is neither ended by that nor kept from closing.
func TestCompactPassesAChangedEntry(t *testing.T) {
	t.Parallel()
	cfg := raftstore.Config{Dir: t.TempDir(), Name: "n1"}
	s, err := raftstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	secret := []byte("data that are there once")
	if err := s.Add(ctxFor(t, patience), id(1), secret, time.Hour); err != nil {
		t.Fatal(err)
	}
	changeByte(t, filepath.Join(cfg.Dir, "raft.db"), secret)
	done := make(chan error, 2)
	go func() {
		_, err := s.Compact(ctxFor(t, patience))
		done <- err
		done <- s.Close()
	}()
	for _, what := range []string{"Compact", "Close"} {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s does not end; the node: %v", what, s.Err())
		}
	}
}

// changeByte changes what is there in a file, as a disk may.
func changeByte(t *testing.T, path string, what []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	changed := 0
	for at := 0; ; changed++ {
		i := bytes.Index(b[at:], what)
		if i < 0 {
			break
		}
		at += i
		if _, err := f.WriteAt([]byte{what[0] ^ 4}, int64(at)); err != nil {
			t.Fatal(err)
		}
		at++
	}
	if changed == 0 {
		t.Fatalf("%s does not have it", path)
	}
}
