package rawconn

import (
	"net"

	"golang.org/x/sys/unix"
)

// Process is the process at the other end of a unix socket, and its user: the process that connected, or that began to
// listen.
func Process(c net.Conn) (pid, uid int, ok bool) {
	u, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return 0, 0, false
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, 0, false
	}
	var cred *unix.Ucred
	if raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}) != nil || err != nil {
		return 0, 0, false
	}
	return int(cred.Pid), int(cred.Uid), true
}
