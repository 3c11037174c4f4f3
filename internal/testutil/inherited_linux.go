package testutil

import (
	"fmt"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/distcache/distcache/wire"
)

// EndsWithInheritedConnection holds that a daemon which is given a connection to listen on, as from inetd, ends with
// that: there will be no other.
func EndsWithInheritedConnection(t *testing.T, start func(listen string) *Daemon) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(pair[0]), "")
	ours, err := net.FileConn(f)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	d := start(fmt.Sprint("FD:", pair[1]))
	if _, err := Exchange(ours, wire.OpGet, []byte("x")); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if err := <-d.Ended; err != nil {
		t.Error(err)
	}
}
