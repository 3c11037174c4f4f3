package raftstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/serverid"
)

// A directory of an earlier version is refused, with a way, and stays as it was.
func TestEarlierIdentityIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, identityFile)
	old := []byte(`{"format": 1, "name": "n1", "instance": "00112233445566778899aabbccddeeff", "phase": "member"}`)
	if err := os.WriteFile(path, old, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(Config{Dir: dir, Name: "n1"})
	if !errors.Is(err, ErrForeign) || !strings.Contains(err.Error(), "earlier version") || !strings.Contains(err.Error(), "empty their directories") {
		t.Errorf("opened with %v", err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != string(old) {
		t.Errorf("node.json is now %q, %v", now, err)
	}
}

// An ID is one life of a disk: a node that has promised nobody anything has another one each time it starts, and keeps
// it as soon as it has.
func TestIDIsOneLife(t *testing.T) {
	dir := t.TempDir()
	ids := map[string]int{}
	for range 3 {
		s, err := Open(Config{Dir: dir, Name: "n1"})
		if err != nil {
			t.Fatal(err)
		}
		ids[s.Status().ID]++
		s.Close()
	}
	if len(ids) != 1 {
		t.Errorf("a member had the IDs %v", ids)
	}
	for id := range ids {
		if !serverid.ID(id).Valid() || serverid.ID(id).Name() != "n1" {
			t.Errorf("%q is no ID", id)
		}
	}
	for _, bad := range []string{"", "n1", "n1/", "n1/xyz", "n1/0011223", "n1/001122334", "/00112233", "n 1/00112233", "n1/00112233/00112233"} {
		if serverid.ID(bad).Valid() {
			t.Errorf("%q is an ID", bad)
		}
	}
}

// What a node has come to is not noted of the server that the store has become meanwhile: it would be missed its log.
func TestMemberOfThePast(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := s.node.Load()
	if err := s.remember(func(id *identity) { *id = newIdentity(id.Name) }); err != nil {
		t.Fatal(err)
	}
	s.membership.noteMember(n)
	if err := s.peerPort.founding.promiseTo(n, "n2/00000001"); err != nil {
		t.Fatal(err)
	}
	if id := s.identity(); !id.fresh() {
		t.Errorf("the new server is said to be %+v", id)
	}
}
