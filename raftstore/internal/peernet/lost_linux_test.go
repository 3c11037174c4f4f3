package peernet

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/distcache/distcache/internal/rawconn"
)

// After a failure of the network, a connection for peer requests is closed in time.
func TestRequestsAreNotStuck(t *testing.T) {
	m := listen(t, refuseAll)
	c, err := dialPeer(t.Context(), TCP{}, Peer{Address: m.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*rawconn.Conn).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var ms int
	controlErr := raw.Control(func(fd uintptr) {
		ms, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
	})
	if controlErr != nil {
		t.Fatal(controlErr)
	}
	if d := time.Duration(ms) * time.Millisecond; err != nil || d != lostAfter {
		t.Errorf("%s, %v", d, err)
	}
}
