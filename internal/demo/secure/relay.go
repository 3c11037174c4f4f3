package main

import (
	"bytes"
	"io"
	"net"
	"sync"

	"github.com/distcache/distcache/internal/procs"
)

// A relay passes connections on to an address, and records the traffic.
type relay struct {
	to string
	l  net.Listener
	wg sync.WaitGroup

	mu      sync.Mutex
	streams []*bytes.Buffer
	conns   []net.Conn
	closed  bool
}

func newRelay(to string) (*relay, error) {
	at, err := procs.FreeAddresses(1)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", at[0])
	if err != nil {
		return nil, err
	}
	r := &relay{to: to, l: l}
	r.wg.Go(r.accept)
	return r, nil
}

func (r *relay) address() string { return r.l.Addr().String() }

func (r *relay) accept() {
	for {
		c, err := r.l.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.pass(c) })
	}
}

func (r *relay) pass(c net.Conn) {
	defer c.Close()
	s, err := net.Dial("tcp", r.to)
	if err != nil {
		return
	}
	defer s.Close()
	r.mu.Lock()
	r.conns = append(r.conns, c, s)
	there, back := new(bytes.Buffer), new(bytes.Buffer)
	r.streams = append(r.streams, there, back)
	closed := r.closed
	r.mu.Unlock()
	if closed {
		return
	}
	done := make(chan struct{}, 2)
	one := func(to, from net.Conn, keep *bytes.Buffer) {
		_, _ = io.Copy(io.MultiWriter(to, locked{keep, &r.mu}), from)
		done <- struct{}{}
	}
	go one(s, c, there)
	go one(c, s, back)
	<-done // the other relay ends when the connections are closed
	c.Close()
	s.Close()
	<-done
}

// locked is a buffer with a mutex.
type locked struct {
	b  *bytes.Buffer
	mu *sync.Mutex
}

func (l locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// recorded is the traffic so far, a slice for each direction of each connection.
func (r *relay) recorded() (all [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.streams {
		all = append(all, b.Bytes())
	}
	return all
}

// close closes the connections. It may be called twice.
func (r *relay) close() {
	r.l.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}
