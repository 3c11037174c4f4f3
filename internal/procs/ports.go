package procs

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
)

// FreeAddresses finds loopback addresses that nothing listens on, each of them once. They lie below the range from which
// the kernel takes the ports of outgoing connections, so that none of those can be in the way later. Nor is another
// process given them while this one runs.
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

// ports are those given away. The UDP port of the same number is kept open for each: it belongs to one process at a time
// and is free again when that has ended, however it ended.
var ports = struct {
	sync.Mutex
	next   int
	claims []net.PacketConn
}{next: 20000 + os.Getpid()*16%12000}

// claim tells whether an address is nobody's, and makes it this process's. Called with ports held.
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
