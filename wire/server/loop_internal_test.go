//go:build linux

package server

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A loop serves the unix sockets that addresses stand for.
func TestLoopForAddress(t *testing.T) {
	a, err := wire.ParseAddress("UNIX:" + filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Store: &heldStore{Store: store.NewMemory(0)}})
	if err != nil {
		t.Fatal(err)
	}
	lo := s.newLoop(l, make(chan error, 1))
	if lo == nil {
		t.Fatal("no loop for the listener of a unix socket")
	}
	if err := lo.Close(); err != nil {
		t.Error(err)
	}
}
