package client

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/distcache/distcache/wire"
)

// BenchmarkDo is the price of a request against a server on the loopback that does nothing but answer.
func BenchmarkDo(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			go answerAll(l)
			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				b.Fatal(err)
			}
			c := NewConn(nc, ConnConfig{})
			defer c.Close()
			id := make([]byte, 32)
			b.ReportAllocs()
			var wg sync.WaitGroup
			for g := range callers {
				wg.Go(func() {
					for range (b.N + callers - 1 - g) / callers {
						if _, err := c.Do(b.Context(), wire.OpHave, id); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

func answerAll(l net.Listener) {
	nc, err := l.Accept()
	if err != nil {
		return
	}
	defer nc.Close()
	r := wire.NewReader(nc, wire.Requests)
	var m wire.Message
	var out []byte
	for r.Read(&m) == nil {
		m.Response, m.Payload = true, append(m.Payload[:0], 0)
		out = wire.AppendMessage(out, &m)
		if !r.Ready() {
			if _, err := nc.Write(out); err != nil {
				return
			}
			out = out[:0]
		}
	}
}
