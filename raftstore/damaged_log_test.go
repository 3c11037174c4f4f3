package raftstore_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// An entry of which the disk has changed so much that it can't be decoded is an error that names the file and what to
// do, whichever of the entries it is.
func TestOpenRefusesAnEntryThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cfg := raftstore.Config{Dir: dir, Name: "n1"}
	s, err := raftstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := s.Add(ctxFor(t, patience), id(i), data(i), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "raft.db"))
	if err != nil {
		t.Fatal(err)
	}
	field := []byte("\xa4Data") // of an entry in msgpack; its value's kind follows
	tried := 0
	for at := bytes.Index(whole, field); at >= 0; tried++ {
		b := bytes.Clone(whole)
		at += len(field)
		b[at] = 0x12 // a number
		cfg.Dir = t.TempDir()
		path := filepath.Join(cfg.Dir, "raft.db")
		if err := os.CopyFS(cfg.Dir, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if s, err := raftstore.Open(cfg); err == nil { // what bbolt no longer refers to may hold anything
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		} else if !errors.Is(err, raftstore.ErrDisk) || !strings.Contains(err.Error(), path+": log entry ") ||
			!strings.Contains(err.Error(), "; empty "+cfg.Dir) {
			t.Errorf("the bytes at %d: %v", at, err)
		}
		next := bytes.Index(whole[at:], field)
		if next < 0 {
			break
		}
		at += next
	}
	if tried < 3 {
		t.Errorf("%d entries found", tried)
	}
}
