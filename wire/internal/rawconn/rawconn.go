// Package rawconn writes to connections without waiting, for those who must not be held up by a slow peer and would
// rather not have another goroutine do the writing.
package rawconn

import (
	"net"
	"syscall"
)

// Of gives access to a connection's descriptor, nil when there is something between, as TLS is.
func Of(nc net.Conn) (raw syscall.RawConn) {
	switch c := nc.(type) {
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// Write hands b to the kernel as far as that is possible without waiting, and says how much that was. What goes wrong is
// for the next write to find out. A write deadline that has passed is an error of the connection, and takes nothing.
func Write(raw syscall.RawConn, b []byte) (n int) {
	err := raw.Write(func(fd uintptr) bool {
		for n < len(b) {
			k, err := syscall.Write(int(fd), b[n:])
			if err == syscall.EINTR {
				continue
			}
			if k <= 0 || err != nil {
				break
			}
			n += k
		}
		return true
	})
	if err != nil {
		return 0
	}
	return n
}
