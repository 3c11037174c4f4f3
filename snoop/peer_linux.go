package snoop

import (
	"fmt"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// peer names who is at the other end of a connection: an address, or for a unix socket the process that connected.
func peer(nc net.Conn) string {
	if _, ok := nc.(*net.UnixConn); ok {
		if cred, err := credentials(nc.(syscall.Conn)); err == nil && cred.Pid > 0 {
			return fmt.Sprintf("process %d of user %d", cred.Pid, cred.Uid)
		}
	}
	return address(nc)
}

func credentials(sc syscall.Conn) (cred *unix.Ucred, err error) {
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil, err
	}
	if controlErr := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); controlErr != nil {
		return nil, controlErr
	}
	return cred, err
}
