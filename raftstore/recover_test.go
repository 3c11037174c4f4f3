package raftstore

import (
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/raftstore/internal/snapstore"
	"github.com/distcache/distcache/raftstore/internal/state"
)

// machine opens a state machine and applies an ADD at each index, the id being the index.
func machine(t *testing.T, path string, from, to uint64) *state.Machine {
	t.Helper()
	m, err := state.Open(path, state.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i <= to; i++ {
		b := entry.AppendOp(entry.Begin(nil), &entry.Op{
			Kind:     entry.Add,
			Identity: entry.Identity{Origin: 1, Counter: i, Low: i},
			Timeout:  1000, ID: []byte{byte(i)}, Data: []byte("x"),
		})
		entry.Seal(b, entry.Header{Stamp: 1, Count: 1})
		if _, err := m.Apply(i, 1, b); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	return m
}

// A snapshot was received, and the process died at one of the steps between its last byte and the note that it was
// installed. Whichever it was, the next start comes to the same state.
func TestCrashBetweenReceivingAndInstalling(t *testing.T) {
	const own, announced, ahead = 5, 20, 23
	steps := map[string]func(t *testing.T, dir string, snapshots *snapstore.Store){
		"received": func(*testing.T, string, *snapstore.Store) {},
		"renamed": func(t *testing.T, dir string, snapshots *snapstore.Store) {
			if err := os.Rename(snapshots.Pending(), filepath.Join(dir, stateFile)); err != nil {
				t.Fatal(err)
			}
		},
		"installed": func(t *testing.T, dir string, snapshots *snapstore.Store) {
			if err := os.Rename(snapshots.Pending(), filepath.Join(dir, stateFile)); err != nil {
				t.Fatal(err)
			}
			if err := snapshots.Installed(ahead); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, crash := range steps {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := machine(t, filepath.Join(dir, stateFile), 1, own).Close(); err != nil {
				t.Fatal(err)
			}
			donor := machine(t, filepath.Join(t.TempDir(), stateFile), 1, ahead)
			defer donor.Close()
			snapshots, err := snapstore.Open(filepath.Join(dir, snapshotDir), donor.Stream)
			if err != nil {
				t.Fatal(err)
			}
			sink, err := snapshots.Create(1, announced, 1, raft.Configuration{}, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, r, err := donor.Stream()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(sink, r); err != nil {
				t.Fatal(err)
			}
			r.Close()
			if err := sink.Close(); err != nil {
				t.Fatal(err)
			}
			crash(t, dir, snapshots)

			m, err := state.Open(filepath.Join(dir, stateFile), state.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			snapshots, err = snapstore.Open(filepath.Join(dir, snapshotDir), m.Stream)
			if err != nil {
				t.Fatal(err)
			}
			if err := recoverState(m, snapshots); err != nil {
				t.Fatal(err)
			}
			if applied, _ := m.Applied(); applied != ahead || m.Len() != ahead {
				t.Fatalf("applied %d, %d sessions", applied, m.Len())
			}
			if snapshots.Pending() != "" || snapshots.Newest() != announced {
				t.Fatalf("newest %d, pending %q", snapshots.Newest(), snapshots.Pending())
			}
		})
	}
}

// A state file that is behind the newest snapshot, with nothing there to make it good, is refused.
func TestStateBehindSnapshotIsRefused(t *testing.T) {
	dir := t.TempDir()
	m := machine(t, filepath.Join(dir, stateFile), 1, 5)
	defer m.Close()
	snapshots, err := snapstore.Open(filepath.Join(dir, snapshotDir), m.Stream)
	if err != nil {
		t.Fatal(err)
	}
	sink, err := snapshots.Create(1, 6, 1, raft.Configuration{}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink.(*snapstore.Sink).Own()
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	log, err := openLog(dir, LogBolt, slog.New(slog.DiscardHandler), snapshots.Newest)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := recoverState(m, snapshots); err != nil {
		t.Fatal(err)
	}
	if err := checkFiles(m, log, LogBolt, snapshots, identity{Phase: phaseNew}); err == nil {
		t.Fatal("it was taken")
	}
}
