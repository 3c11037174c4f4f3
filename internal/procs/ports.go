package procs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// FreeAddresses finds loopback addresses that nothing listens on. It never returns an address twice, nor one that it
// has returned to another process that still runs. The ports are below the range from which the kernel takes ports for
// outgoing connections, so that no connection can take them later.
func FreeAddresses(n int) ([]string, error) {
	ports.Lock()
	defer ports.Unlock()
	var list []string
	for range 10000 {
		if len(list) == n {
			return list, nil
		}
		ports.next = 20000 + (ports.next-20000+1)%12000
		a := fmt.Sprintf("127.0.0.1:%d", ports.next)
		if claim(a) {
			list = append(list, a)
		}
	}
	return nil, errors.New("no free ports on the loopback")
}

// ports are the ports that FreeAddresses has returned. For each, this process keeps the UDP port of the same number
// open as a lock against other processes. The kernel releases the lock when the process ends, however it ends.
var ports = struct {
	sync.Mutex
	next   int
	claims []net.PacketConn
}{next: 20000 + os.Getpid()*16%12000}

// claim takes an address for this process, and tells whether it was free. The caller holds ports.
func claim(address string) bool {
	mark, err := net.ListenPacket("udp", address)
	if err != nil {
		return false
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		mark.Close()
		return false
	}
	l.Close()
	ports.claims = append(ports.claims, mark)
	return true
}
