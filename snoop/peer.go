package snoop

import "net"

// address is the address of the other end. Clients of a unix socket have none.
func address(nc net.Conn) string {
	if a := nc.RemoteAddr(); a != nil && a.String() != "" && a.String() != "@" {
		return a.String()
	}
	return "a local process"
}
