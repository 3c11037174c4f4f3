// Package testutil is what tests of several packages share: waiting for what must come to be, files to compare with,
// listeners and servers that end with the test, and daemons that run inside it. It imports nothing of ours but wire, so
// that any package's tests can use it.
package testutil

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// Patience is how long a test waits for something that must come to be. Nothing is asserted on it.
const Patience = 90 * time.Second

// Until waits until f returns nil, and fails the test with f's last error when it does not.
func Until(t testing.TB, f func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(Patience); ; <-tick.C {
		err := f()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %v", Patience, err)
		}
	}
}

// Eventually waits until ok is true, and fails the test with what was waited for when it does not become so.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	Until(t, func() error {
		if ok() {
			return nil
		}
		return errors.New(what)
	})
}

// Ended waits until a process that is no child of this one is gone.
func Ended(t testing.TB, pid int) {
	t.Helper()
	Eventually(t, fmt.Sprintf("process %d has ended", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return errors.Is(err, fs.ErrNotExist) || err == nil && strings.Contains(string(stat), ") Z ")
	})
}

var update = flag.Bool("update", false, "write the golden files anew")

// Golden holds what people read against a file in testdata.
func Golden(t testing.TB, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant, as %s has it (go test -update writes it anew),\n%s", got, path, want)
	}
}

// Address parses an address.
func Address(t testing.TB, text string) wire.Address {
	t.Helper()
	a, err := wire.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// ShortDir is a directory whose path leaves room for that of a socket in it.
func ShortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "dc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// Listen listens at an address until the test ends; for "unix" and "tcp" alone, at a new socket or a free port.
func Listen(t testing.TB, network string, at ...string) net.Listener {
	t.Helper()
	switch {
	case len(at) > 0:
	case network == "unix":
		at = []string{filepath.Join(ShortDir(t), "s")}
	default:
		at = []string{"127.0.0.1:0"}
	}
	l, err := net.Listen(network, at[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// Serve has a server serve a listener until the test ends, or until it is closed.
func Serve(t testing.TB, l net.Listener, s interface {
	Serve(net.Listener) error
	Close() error
}) {
	t.Helper()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil && !errors.Is(err, net.ErrClosed) { // it had ended before Serve was called
			t.Errorf("Serve: %v", err)
		}
	})
}

// At is the address that a listener is at.
func At(t testing.TB, l net.Listener) wire.Address {
	t.Helper()
	if a := l.Addr(); a.Network() == "unix" {
		return Address(t, "UNIX:"+a.String())
	}
	return Address(t, "IP:"+l.Addr().String())
}

// A Buffer takes what is written, and may be read while more is.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what has been written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
