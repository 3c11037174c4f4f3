package client

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// socketPair is a Conn on a unix socket, whose buffers hold far less than a burst of requests, and the other end.
func socketPair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	if err := a.(*net.UnixConn).SetWriteBuffer(4096); err != nil {
		t.Fatal(err)
	}
	c := NewConn(a, ConnConfig{MaxInFlight: 100})
	t.Cleanup(func() { c.Close() })
	return c, b
}

// What the kernel does not take at once follows, in order and whole.
func TestWriteNowLeavesRest(t *testing.T) {
	c, peer := socketPair(t)
	payload := bytes.Repeat([]byte("0123456789abcdef"), wire.MaxPayload/16)
	answers := make(chan error, 100)
	for range 50 {
		if _, err := c.Start(wire.OpGet, payload, func(_ []byte, err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	r := wire.NewReader(peer, wire.Requests)
	var m wire.Message
	for uid := range uint32(50) {
		if err := r.Read(&m); err != nil || m.UID != uid+1 || !bytes.Equal(m.Payload, payload) {
			t.Fatalf("request %d arrived with %d bytes, %v", m.UID, len(m.Payload), err)
		}
		m.Response = true
		m.Payload = m.Payload[:1]
		if _, err := peer.Write(wire.AppendMessage(nil, &m)); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
}

// A peer that takes a part of the first request and closes: its fate is unknown, that of the next is not.
func TestWriteNowLost(t *testing.T) {
	c, peer := socketPair(t)
	payload := make([]byte, wire.MaxPayload)
	first, second := make(chan error, 1), make(chan error, 1)
	if _, err := c.Start(wire.OpGet, payload, func(_ []byte, err error) { first <- err }); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Start(wire.OpGet, payload, func(_ []byte, err error) { second <- err }); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if err := <-first; !errors.Is(err, ErrLost) || errors.Is(err, ErrNotSent) {
		t.Errorf("the first request ended with %v", err)
	}
	if err := <-second; !errors.Is(err, ErrNotSent) {
		t.Errorf("the second request ended with %v", err)
	}
	select {
	case <-c.Done():
	case <-time.After(20 * time.Second):
		t.Error("the connection is not lost")
	}
}
