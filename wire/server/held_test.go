package server

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
	"github.com/distcache/distcache/wire/store"
)

// A heldStore ends requests when the test wants it to.
type heldStore struct {
	store.Store
	mu   sync.Mutex
	held []store.Completion
	all  chan struct{} // has an element when there are as many as wanted
	want int
}

func (h *heldStore) Start(_ *store.Request, _ time.Time, done store.Completion) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held = append(h.held, done); len(h.held) == h.want {
		h.all <- struct{}{}
	}
}

// end ends all requests with an answer.
func (h *heldStore) end(data []byte) {
	h.mu.Lock()
	held := h.held
	h.held = nil
	h.mu.Unlock()
	for _, done := range held {
		done.Done(store.Result{Data: data})
	}
}

// Requests that wait hold about what they take, not what answers or larger requests took before in the same memory.
func TestWaitingRequestsHoldLittle(t *testing.T) {
	const many = defaultMaxInFlight
	for range many {
		b := make([]byte, 0, wire.MaxPayload)
		putBuffer(&b)
	}
	h := &heldStore{Store: store.NewMemory(0), all: make(chan struct{}, 1), want: many}
	s, err := New(Config{Store: h, RequestTimeout: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	var burst []byte
	for uid := range uint32(many) {
		burst = wire.AppendMessage(burst, &wire.Message{UID: uid, Op: wire.OpGet, Payload: []byte{byte(uid), byte(uid >> 8)}})
	}
	data := make([]byte, 30000)
	for round := range 10 {
		if _, err := nc.Write(burst); err != nil {
			t.Fatal(err)
		}
		<-h.all
		s.mu.Lock()
		var sum int
		for c := range s.conns {
			c.mu.Lock()
			for r := c.requests.First(); r != nil; r = c.requests.Next(r) {
				sum += cap(*r.buf)
			}
			c.mu.Unlock()
		}
		s.mu.Unlock()
		if sum > maxHeld {
			t.Fatalf("in round %d, %d requests hold %d bytes", round, many, sum)
		}
		go h.end(data)
		if _, err := io.CopyN(io.Discard, nc, int64(many*wire.Size(len(data)))); err != nil {
			t.Fatal(err)
		}
	}
}
