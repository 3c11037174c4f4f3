package client

import (
	"net"
	"syscall"
)

// rawConn gives access to a connection's descriptor, if there is nothing else between.
func rawConn(nc net.Conn) (raw syscall.RawConn) {
	switch c := nc.(type) {
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// writeNow writes the first request in a while, with which none can share a write, on the caller's goroutine: that saves
// the wait for another. It does not block; what the kernel doesn't take at once is left to flush. It is called with the
// lock held and releases it.
func (c *Conn) writeNow() {
	c.flushing = true
	c.running.Add(1)
	c.fill()
	c.mu.Unlock()
	c.wrote = writeSome(c.raw, c.out)
	c.mu.Lock()
	if c.err == nil && c.wrote == len(c.out) && len(c.queue) == 0 {
		c.flushing = false
		c.running.Done()
	} else {
		go func() {
			defer c.running.Done()
			c.flush()
		}()
	}
	c.mu.Unlock()
}

// writeSome hands b to the kernel as far as that is possible without waiting. What goes wrong is for the next write to
// find out.
func writeSome(raw syscall.RawConn, b []byte) (n int) {
	_ = raw.Write(func(fd uintptr) bool {
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
	return n
}
