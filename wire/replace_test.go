package wire_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// Of several listeners that start at once at a dead socket, one gets the path, and keeps it.
func TestOneReplacesDeadSocket(t *testing.T) {
	for range 100 {
		path := filepath.Join(t.TempDir(), "s")
		dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		dead.SetUnlinkOnClose(false)
		dead.Close()
		a := parse(t, "UNIX:"+path)
		got := make(chan net.Listener, 8)
		var wg sync.WaitGroup
		for range cap(got) {
			wg.Go(func() {
				if l, err := a.Listen(context.Background()); err == nil {
					got <- l
				}
			})
		}
		wg.Wait()
		close(got)
		n := len(got)
		for l := range got {
			l.Close()
		}
		if n != 1 {
			t.Fatalf("%d listen there", n)
		}
	}
}

// Closing a listener does not remove a socket that has taken its place.
func TestCloseLeavesSuccessorsSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	a := parse(t, "UNIX:"+path)
	old, err := a.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := a.Listen(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	old.Close()
	nc, err := a.Dial(context.Background())
	if err != nil {
		t.Fatalf("after its predecessor was closed: %v", err)
	}
	nc.Close()
	successor.Close()
	successor.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket's file after Close: %v", err)
	}
}
