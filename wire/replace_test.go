package wire_test

import (
	"context"
	"net"
	"path/filepath"
	"sync"
	"testing"
)

// Of several that start at once where a dead socket is, one gets the place, and keeps it.
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
