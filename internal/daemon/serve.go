package daemon

import (
	"net"
	"sync"
	"sync/atomic"
)

// Serve has serve carry on with each listener in a goroutine of wg, and ended told how that went. last is called when
// none of them is left, unless an error ended the one that was: inherited connections end with their clients.
func Serve(wg *sync.WaitGroup, listeners []net.Listener, serve func(net.Listener) error, ended func(net.Listener, error), last func()) {
	var left atomic.Int32
	left.Store(int32(len(listeners)))
	for _, l := range listeners {
		wg.Go(func() {
			err := serve(l)
			ended(l, err)
			if left.Add(-1) == 0 && err == nil {
				last()
			}
		})
	}
}
