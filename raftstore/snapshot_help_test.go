package raftstore

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/distcache/distcache/raftstore/internal/state"
)

// Compact has a node take a snapshot and trim its log to so many entries, as it does by itself when the log has grown.
func Compact(s *Store, trailing uint64) error { return compactTo(s.node.Load(), trailing) }

func compactTo(n *node, trailing uint64) error {
	return n.raft.Snapshot(trailing)
}

// Dump is what a node's state machine holds, one line for each thing.
func Dump(t testing.TB, s *Store) []string { return dump(t, s.node.Load().state) }

func dump(t testing.TB, m *state.Machine) (lines []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dump.db")
	if err := os.WriteFile(path, stream(t, m), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bbolt.Tx) error {
		clock := binary.BigEndian.Uint64(tx.Bucket([]byte("meta")).Get([]byte("clock"))[16:]) // of the processes
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				// A process that was not heard of for ten minutes is forgotten, whether its record was swept away or
				// not.
				if k[0] == 'o' && len(k) == 9 && binary.BigEndian.Uint64(v)+10*minute < clock {
					return nil
				}
				if len(v) > 1000 {
					sum := sha256.Sum256(v)
					v = sum[:]
				}
				lines = append(lines, fmt.Sprintf("%s %q: %q", name, k, v))
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// stream is a machine's state file, flushed. One that is replaced meanwhile by a snapshot ends, and is read again.
func stream(t testing.TB, m *state.Machine) []byte {
	t.Helper()
	for {
		_, r, err := m.Stream()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		r.Close()
		if err == nil {
			return b
		}
		if !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
	}
}

const minute = 60 * 1000 // ms

// Difference is what two dumps do not have in common, nil when they are the same.
func Difference(got, want []string) error {
	a, b := strings.Join(got, "\n"), strings.Join(want, "\n")
	if a == b {
		return nil
	}
	return fmt.Errorf("the state is\n%.3000s\nand should be\n%.3000s", a, b)
}

// Received is the index of the state that a node was sent last as a snapshot, 0 when it never was.
func Received(t testing.TB, dir string) uint64 {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, snapshotDir, "meta.json"))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	var r struct{ Ahead uint64 }
	if err = errors.Join(err, json.Unmarshal(b, &r)); err != nil {
		t.Fatal(err)
	}
	return r.Ahead
}
