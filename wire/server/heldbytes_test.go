package server

import (
	"bytes"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// What many connections have under way takes bounded memory together, and those that have little are served meanwhile.
func TestMaxHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns, limit = 32, 2 << 20
		h := &heldStore{Store: store.NewMemory(0)}
		s, err := New(Config{Store: h, MaxHeld: limit, RequestTimeout: time.Hour, MessageTimeout: 2 * time.Hour, WriteTimeout: 2 * time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		payload := wire.AppendAdd(nil, []byte("an id"), make([]byte, 30000), time.Hour)
		burst := bytes.Repeat(wire.AppendMessage(nil, &wire.Message{Op: wire.OpAdd, Payload: payload}), 64)
		connect := func() net.Conn {
			ours, theirs := net.Pipe()
			go s.ServeConn(theirs)
			return ours
		}
		var all []net.Conn
		for range conns {
			nc := connect()
			defer nc.Close()
			all = append(all, nc)
		}
		synctest.Wait() // a connection's share depends on how many there are
		for _, nc := range all {
			go nc.Write(burst) // not all of it will be taken
		}
		synctest.Wait()

		least := max(flushSize, limit/conns) + len(payload)
		if held, most := s.Stats().Held, int64(limit+conns*least); held > most || held < limit {
			t.Errorf("%d connections hold %d bytes, want %d to %d", conns, held, limit, most)
		}

		before := s.Stats().InFlight
		nc := connect()
		defer nc.Close()
		go nc.Write(wire.AppendMessage(nil, &wire.Message{Op: wire.OpGet, Payload: []byte("another")}))
		synctest.Wait()
		if s.Stats().InFlight != before+1 {
			t.Error("the request of a connection that holds little was not taken")
		}

		s.abort()
		h.end(nil)
		synctest.Wait()
		if held := s.Stats().Held; held != 0 {
			t.Errorf("%d bytes are held with no request under way", held)
		}
	})
}
