package raftstore

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore/internal/seal"
)

// After the epoch in which a session expired, the files of a node and its key file together open nothing of it, wherever
// in the files its data are left. Before, they do.
func TestForgottenOnTime(t *testing.T) {
	var ahead atomic.Int64
	key := filepath.Join(t.TempDir(), "seal.key")
	if _, err := CreateSealKey(key, seal.MinEpoch); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: t.TempDir(), Name: "n1", Seal: key}
	cfg.wallClock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { s.Close() }()
	data := []byte("these are the data of a session")
	ids := map[string]bool{} // and whether it expires soon
	for i := range 20 {
		short, long := fmt.Sprintf("short-%02d", i), fmt.Sprintf("long-%02d", i)
		ids[short], ids[long] = true, false
		for id, timeout := range map[string]time.Duration{short: 30 * time.Second, long: time.Hour} {
			if err := s.Add(t.Context(), []byte(id), data, timeout); err != nil {
				t.Fatal(err)
			}
		}
	}
	// opened tells which sessions a thief can open who takes the node's files and its key.
	opened := func() map[string]bool {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		thief, err := seal.Open(stolen(t, key))
		if err != nil {
			t.Fatal(err)
		}
		defer thief.Close()
		found := map[string]bool{}
		blobs := 0
		ring := thief.Rings()[0].ID
		begin := append([]byte{1}, ring[:]...)
		err = filepath.WalkDir(cfg.Dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			for ; err == nil; b = b[1:] {
				i := bytes.Index(b, begin)
				if i < 0 || len(b)-i < len(data)+seal.Overhead {
					break
				}
				b = b[i:]
				blobs++
				for id := range ids {
					got, err := thief.Open(nil, namespaceSessions, []byte(id), b[:len(data)+seal.Overhead])
					if err == nil && bytes.Equal(got, data) {
						found[id] = true
					} else if err == nil {
						t.Errorf("opened something else: %q", got)
					} else if errors.Is(err, seal.ErrFormat) || errors.Is(err, seal.ErrNoKey) {
						t.Errorf("what was found is no sealed session: %v", err)
					}
				}
			}
			return err
		})
		if err != nil || blobs < len(ids) {
			t.Fatalf("%d sealed sessions were found, %v", blobs, err)
		}
		if s, err = Open(cfg); err != nil {
			t.Fatal(err)
		}
		return found
	}
	if found := opened(); len(found) != len(ids) {
		t.Errorf("before any has expired, %d of %d can be opened", len(found), len(ids))
	}
	before := s.keys.Rings()[0].Until
	ahead.Store(int64(3 * seal.MinEpoch))
	for deadline := time.Now().Add(time.Minute); !s.keys.Rings()[0].Until.After(before.Add(2 * seal.MinEpoch)); {
		if time.Now().After(deadline) {
			t.Fatalf("the keys have not moved on: the epoch ends %v, and did %v", s.keys.Rings()[0].Until, before)
		}
		time.Sleep(10 * time.Millisecond)
	}
	found := opened()
	for id, short := range ids {
		if found[id] == short {
			t.Errorf("%s: can be opened: %v", id, found[id])
		}
		if _, err := s.Get(t.Context(), []byte(id)); (err == nil) == short {
			t.Errorf("get %s: %v", id, err)
		}
	}
}

// stolen copies a key file.
func stolen(t *testing.T, key string) string {
	b, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "stolen.key")
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return to
}
