package main

import (
	"fmt"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/distcache/distcache/wire"
)

// A connection that was inherited, as from inetd, is the only one there will be: with its end there is nothing more to do.
func TestEndsWithInheritedConnection(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours := os.NewFile(uintptr(pair[0]), "")
	defer ours.Close()
	p := start(t, "-listen", fmt.Sprint("FD:", pair[1]), "-server", "UNIX:"+t.TempDir()+"/nobody")
	if _, err := ours.Write(wire.AppendMessage(nil, &wire.Message{Op: wire.OpGet, Payload: []byte("x")})); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(ours, make([]byte, wire.HeaderSize+1)); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
}
