package snoop

import (
	"fmt"
	"net"

	"github.com/distcache/distcache/internal/rawconn"
)

// peer names who is at the other end of a connection: an address, or for a unix socket the process that connected.
func peer(nc net.Conn) string {
	if pid, uid, ok := rawconn.Process(nc); ok && pid > 0 {
		return fmt.Sprintf("process %d of user %d", pid, uid)
	}
	return address(nc)
}

// address is the address of the other end. Clients of a unix socket have none.
func address(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	return "a local process"
}
