package serve

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/distcache/distcache/wire"
)

// An inline server has a loop for the unix sockets that addresses stand for, unless the environment rules that out.
func TestShortLoopForAddress(t *testing.T) {
	a, err := wire.ParseAddress("UNIX:" + filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	cfg := newLines().config()
	cfg.Inline = true
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DISTCACHE_NO_EPOLL", "1")
	if s.newShortLoop(l, make(chan error, 1)) != nil {
		t.Error("a loop though the environment says otherwise")
	}
	t.Setenv("DISTCACHE_NO_EPOLL", "")
	lo := s.newShortLoop(l, make(chan error, 1))
	if lo == nil {
		t.Fatal("no loop for the listener of a unix socket")
	}
	if err := lo.Close(); err != nil {
		t.Error(err)
	}
}
