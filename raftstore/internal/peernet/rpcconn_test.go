package peernet

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// scanning is a connection with its two ends: what is written to one is read, as Raft reads, from the other.
func scanning(turns *turns) (there net.Conn, here *rpcConn) {
	there, nc := net.Pipe()
	return there, &rpcConn{Conn: nc, scan: newScanner(scannedID, func() int64 { return 1 << 20 }),
		turns: func() chan struct{} { return turns.members }, refuse: func(error) {}}
}

// A request that stops midway ends its connection; between two requests a connection may be silent.
func TestRequestStopsMidway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, b := range requests(t) {
			there, here := scanning(newTurns())
			go func() {
				there.Write(b)
				time.Sleep(time.Hour)
				there.Write(b[:len(b)-1])
			}()
			n, err := io.Copy(io.Discard, here)
			if want := int64(2*len(b) - 1); n != want || !isTimeout(err) {
				t.Errorf("%s: read %d of %d bytes, %v", name, n, want, err)
			}
			there.Close()
			here.Close()
		}
	})
}

// Long requests take turns. A turn ends with the answer to the request, or with the connection.
func TestLongRequestsTakeTurns(t *testing.T) {
	long := append(header(0, 2), 0xa1, 'x', 0xc6, 0, 0x20, 0, 0)
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		done := make(chan int, 10)
		var conns []*rpcConn
		for i := range largeRPCs + 1 {
			there, here := scanning(turns)
			defer there.Close()
			defer here.Close()
			conns = append(conns, here)
			go there.Write(append(bytes.Clone(long), make([]byte, 0x200000)...))
			go func() {
				_, err := io.CopyN(io.Discard, here, int64(len(long)+0x200000))
				if err == nil {
					done <- i
				}
			}()
			synctest.Wait()
		}
		if len(done) != largeRPCs {
			t.Fatalf("%d requests were read at once, want %d", len(done), largeRPCs)
		}
		go conns[<-done].Read(make([]byte, 1)) // as Raft does when it has answered
		synctest.Wait()
		if len(done) != largeRPCs {
			t.Errorf("the next request did not get the turn")
		}
		for _, c := range conns {
			c.Close()
		}
		if n := len(turns.members); n != 0 {
			t.Errorf("%d turns are lost", n)
		}
	})
}
