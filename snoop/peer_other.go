//go:build !linux

package snoop

import "net"

// peer names who is at the other end of a connection.
func peer(nc net.Conn) string { return address(nc) }
