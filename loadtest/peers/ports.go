package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// freePorts finds loopback ports that nothing listens on. They lie below the range from which the kernel takes the ports
// of outgoing connections, so that none of those can be in the way later.
func freePorts(n int) ([]int, error) {
	const first, count = 10_000, 20_000
	start := rand.IntN(count)
	var list []int
	for i := range count {
		port := first + (start+i)%count
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		if list = append(list, port); len(list) == n {
			return list, nil
		}
	}
	return nil, errors.New("no free ports on the loopback")
}
