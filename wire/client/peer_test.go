package client

import (
	"context"
	"errors"
	"net"
	"testing"

	"github.com/distcache/distcache/wire"
)

// A peer is the server's end of a connection, by hand.
type peer struct {
	t  *testing.T
	nc net.Conn
	r  *wire.Reader
}

// pair returns a Conn and its peer on a synchronous pipe: a write ends when the other side has read it.
func pair(t *testing.T, cfg ConnConfig) (*Conn, *peer) {
	ours, theirs := net.Pipe()
	c := NewConn(ours, cfg)
	t.Cleanup(func() { _ = theirs.Close(); _ = c.Close() })
	return c, &peer{t: t, nc: theirs, r: wire.NewReader(theirs, wire.Requests)}
}

func (p *peer) request() wire.Message {
	p.t.Helper()
	var m wire.Message
	if err := p.r.Read(&m); err != nil {
		p.t.Errorf("peer reads a request: %v", err)
	}
	return m
}

func (p *peer) answer(m wire.Message, payload string) {
	p.t.Helper()
	m.Response, m.Payload = true, []byte(payload)
	if _, err := p.nc.Write(wire.AppendMessage(nil, &m)); err != nil {
		p.t.Errorf("peer answers: %v", err)
	}
}

// echo answers every request with its own payload until the connection ends.
func (p *peer) echo() {
	for {
		var m wire.Message
		if p.r.Read(&m) != nil {
			return
		}
		m.Response = true
		if _, err := p.nc.Write(wire.AppendMessage(nil, &m)); err != nil {
			return
		}
	}
}

type result struct {
	payload []byte
	err     error
}

// ask runs Do in a goroutine.
func ask(ctx context.Context, c *Conn, op wire.Op, payload string) <-chan result {
	out := make(chan result, 1)
	go func() {
		b, err := c.Do(ctx, op, []byte(payload))
		out <- result{b, err}
	}()
	return out
}

func want(t *testing.T, got error, all ...error) {
	t.Helper()
	for _, e := range all {
		if !errors.Is(got, e) {
			t.Errorf("error %q is not %q", got, e)
		}
	}
}

func wantNot(t *testing.T, got error, all ...error) {
	t.Helper()
	for _, e := range all {
		if errors.Is(got, e) {
			t.Errorf("error %q is %q", got, e)
		}
	}
}
