package raftstore_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
	"github.com/distcache/distcache/wire"
)

// A keyring is a seal key of which each node gets a copy.
type keyring struct {
	t    testing.TB
	path string
}

func newKeyring(t testing.TB, epoch time.Duration) keyring {
	k := keyring{t, filepath.Join(t.TempDir(), "seal.key")}
	if _, err := raftstore.CreateSealKey(k.path, epoch); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k keyring) give(cfg *raftstore.Config) {
	k.t.Helper()
	b, err := os.ReadFile(k.path)
	if err != nil {
		k.t.Fatal(err)
	}
	cfg.Seal = filepath.Join(k.t.TempDir(), "seal.key")
	if err := os.WriteFile(cfg.Seal, b, 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// holds tells which files below a directory have some bytes in them.
func holds(t testing.TB, dir string, what []byte) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, what) {
			files = append(files, filepath.Base(path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// With a seal key, no file of any node has session data in the clear, and every node reads them, whoever took them.
func TestSealed(t *testing.T) {
	t.Parallel()
	for _, kind := range []raftstore.LogKind{raftstore.LogBolt, raftstore.LogWAL} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			k := newKeyring(t, time.Hour)
			c := testcluster.Start(t, 3, k.give, func(cfg *raftstore.Config) { cfg.RaftLog = kind })
			for i, n := range c.Running() {
				for j := range 20 {
					add(t, n.Store, 100*i+j)
				}
			}
			all := func() {
				for _, n := range c.Running() {
					for i := range 3 {
						for j := range 20 {
							found(t, n.Store, 100*i+j)
						}
					}
					if s := n.Status(); s.SealedBy == "" || s.Plain != 0 {
						t.Errorf("%s is sealed by %q, %d sessions are not sealed", s.Node, s.SealedBy, s.Plain)
					}
				}
			}
			all()
			c.Agree()
			for _, n := range c.Running() {
				n.Stop()
			}
			for _, n := range c.Nodes {
				if files := holds(t, n.Config.Dir, []byte("data of ")); len(files) > 0 {
					t.Errorf("%s has session data in %v", n.Config.Name, files)
				}
				if files := holds(t, n.Config.Dir, id(1)); len(files) == 0 {
					t.Errorf("%s has no trace of the session", n.Config.Name) // or this test looks in the wrong place
				}
				n.Start()
			}
			all()
		})
	}
}

// The largest session with the shortest id, sealed, gets through every node.
func TestLargestSealed(t *testing.T) {
	t.Parallel()
	c := testcluster.Start(t, 3, newKeyring(t, time.Hour).give)
	large := bytes.Repeat([]byte("x"), wire.MaxData)
	for i, n := range c.Running() {
		for _, id := range []string{fmt.Sprint(i), strings.Repeat(fmt.Sprint(i), wire.MaxID)} {
			if err := n.Add(ctxFor(t, patience), []byte(id), large, time.Hour); err != nil {
				t.Fatalf("%s, id of %d bytes: %v", n.Config.Name, len(id), err)
			}
			for _, reader := range c.Running() {
				got, err := reader.Get(ctxFor(t, patience), []byte(id))
				if err != nil || !bytes.Equal(got, large) {
					t.Errorf("%s: %d bytes, %v", reader.Config.Name, len(got), err)
				}
			}
		}
	}
}

// Sealing is turned on and off by restarts. What was stored before stays readable; without the key, sealed sessions are
// not there, and everything else is.
func TestSealingIsTurnedOn(t *testing.T) {
	t.Parallel()
	k := newKeyring(t, time.Hour)
	c := testcluster.Start(t, 3)
	add(t, c.Leader().Store, 1)
	for _, name := range []string{"n1", "n2", "n3"} {
		n := c.Nodes[name]
		n.Stop()
		k.give(&n.Config)
		n.Start()
		found(t, n.Store, 1)
	}
	add(t, c.Leader().Store, 2)
	for _, n := range c.Running() {
		found(t, n.Store, 1)
		found(t, n.Store, 2)
		testcluster.Eventually(t, func() error {
			if s := n.Status(); s.Plain != 1 {
				return fmt.Errorf("%d sessions are not sealed", s.Plain)
			}
			return nil
		})
	}
	lost := c.Followers()[0]
	lost.Stop()
	lost.Config.Seal = ""
	lost.Start()
	found(t, lost.Store, 1)
	missing(t, lost.Store, 2)
	if err := lost.Have(ctxFor(t, patience), id(2)); err != nil {
		t.Errorf("have: %v", err)
	}
	add(t, lost.Store, 3)
	found(t, c.Leader().Store, 3)
}

// A key that nodes can't use ends the start with a sentence.
func TestSealKeyRefused(t *testing.T) {
	k := newKeyring(t, time.Hour)
	cfg := raftstore.Config{Dir: t.TempDir(), Name: "n1"}
	k.give(&cfg)
	if err := os.Chmod(cfg.Seal, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err := raftstore.Open(cfg); err == nil || !strings.Contains(err.Error(), "seal key: "+cfg.Seal) {
		t.Errorf("with a key that others can read: %v", err)
		s.Close()
	}
	cfg.Seal = filepath.Join(t.TempDir(), "none")
	if s, err := raftstore.Open(cfg); err == nil || !strings.Contains(err.Error(), "seal key: ") {
		t.Errorf("without the key: %v", err)
		s.Close()
	}
}
