package raftstore_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// contents are a directory's files and what is in them.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			all[path] = ""
			return err
		}
		b, err := os.ReadFile(path)
		all[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A member that has lost its log is refused, told what it can do, and left as it is.
func TestLostLogIsRefused(t *testing.T) { bothLogs(t, testLostLogIsRefused) }

func testLostLogIsRefused(t *testing.T, kind raftstore.LogKind) {
	cfg := raftstore.Config{Dir: t.TempDir(), Name: "n1", RaftLog: kind}
	s, err := raftstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	add(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(cfg.Dir, "raft.db")
	empty := func() error { return os.WriteFile(log, nil, 0o600) }
	if kind == raftstore.LogWAL {
		log = filepath.Join(cfg.Dir, "wal")
		empty = func() error { return os.Mkdir(log, 0o700) }
	}
	peer := testcluster.FreeAddress(t)
	for name, lose := range map[string]func() error{"gone": func() error { return nil }, "empty": empty} {
		for _, where := range []struct {
			peer string
			join []string
			says string
		}{
			{"", nil, "; empty " + cfg.Dir + " and start the node again: it begins without sessions"},
			{peer, nil, "; empty " + cfg.Dir + " and start the node with the address of another member to join"},
			{peer, []string{"127.0.0.1:1"}, "; empty " + cfg.Dir + " and start the node again: it joins its cluster anew"},
		} {
			if err := errors.Join(os.RemoveAll(log), lose()); err != nil {
				t.Fatal(err)
			}
			before := contents(t, cfg.Dir)
			cfg.Peer, cfg.Join = where.peer, where.join
			s, err := raftstore.Open(cfg)
			if err == nil {
				s.Close()
				t.Fatalf("%s: it starts", name)
			}
			if !errors.Is(err, raftstore.ErrForeign) || !strings.Contains(err.Error(), "its votes are lost"+where.says) {
				t.Errorf("%s, with peer %q and join %q: %v", name, where.peer, where.join, err)
			}
			if after := contents(t, cfg.Dir); !maps.Equal(before, after) {
				t.Errorf("%s: it has changed the directory", name)
			}
		}
	}
}

// A log that begins where the state file ends no more is refused; a state file that was not there is not left behind.
func TestLostStateIsRefused(t *testing.T) {
	t.Parallel()
	cfg := raftstore.Config{Dir: t.TempDir(), Name: "n1"}
	s, err := raftstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		add(t, s, i)
	}
	if err := s.KeepOfLog(1); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Dir, "state.db")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s, err = raftstore.Open(cfg)
	if err == nil {
		s.Close()
		t.Fatal("it starts")
	}
	if !errors.Is(err, raftstore.ErrForeign) || !strings.Contains(err.Error(), "state.db ends at log entry 0") || !strings.Contains(err.Error(), "; empty ") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("state.db: %v", err)
	}
}
