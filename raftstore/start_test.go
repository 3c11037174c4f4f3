package raftstore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/testcluster"
	"github.com/distcache/distcache/raftstore"
)

// A first start that fails for its peer address can be put right in everything: the directory is nobody's yet.
func TestWrongPeerLeavesNoIdentity(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	if s, err := raftstore.Open(raftstore.Config{Dir: dir, Name: "wrong", Peer: taken.Addr().String()}); err == nil {
		s.Close()
		t.Fatal("two listen at one address")
	}
	if _, err := os.Stat(filepath.Join(dir, "node.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("node.json: %v", err)
	}
	s, err := raftstore.Open(raftstore.Config{Dir: dir, Name: "right", Peer: testcluster.FreeAddress(t)})
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
}

// Who gives another of a node's addresses to join through is told which it should be.
func TestJoinThroughAnotherPort(t *testing.T) {
	clients, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer clients.Close()
	go func() {
		for {
			nc, err := clients.Accept()
			if err != nil {
				return
			}
			nc.Close()
		}
	}()
	s, err := raftstore.Open(raftstore.Config{Dir: t.TempDir(), Name: "n1", Peer: testcluster.FreeAddress(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	err = s.Join(t.Context(), []string{clients.Addr().String()}, false)
	if err == nil || !strings.Contains(err.Error(), "it may not be a node's peer port") {
		t.Errorf("got %v", err)
	}
}

func TestValidate(t *testing.T) {
	var bad *raftstore.ConfigError
	if err := (raftstore.Config{Dir: "d", Name: "n 1"}).Validate(); !errors.As(err, &bad) || bad.Setting != "Name" {
		t.Errorf("got %v", err)
	}
	if err := (raftstore.Config{Dir: "d", Name: "n1"}).Validate(); err != nil {
		t.Error(err)
	}
}
