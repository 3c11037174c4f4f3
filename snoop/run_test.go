package snoop_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/snoop"
	"github.com/distcache/distcache/wire"
)

// A onceListener accepts one connection, and then ends with io.EOF.
type onceListener struct {
	net.Listener
	accepted bool
}

func (l *onceListener) Accept() (net.Conn, error) {
	if l.accepted {
		return nil, io.EOF
	}
	l.accepted = true
	return l.Listener.Accept()
}

func TestEndsWithItsListeners(t *testing.T) {
	for _, test := range []struct {
		name string
		l    func(net.Listener) net.Listener
		err  error
	}{
		{"no more", func(l net.Listener) net.Listener { return &onceListener{Listener: l} }, nil},
		{"broken", func(l net.Listener) net.Listener { l.Close(); return l }, net.ErrClosed},
	} {
		at := cache(t, "tcp")
		engine, err := snoop.New(snoop.Config{Output: io.Discard, Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", at.String())
		}})
		if err != nil {
			t.Fatal(err)
		}
		l := testutil.Listen(t, "tcp")
		ended := make(chan error, 1)
		wrapped := test.l(l)
		go func() { ended <- engine.Run(context.Background(), wrapped) }()
		if test.err == nil {
			c := dialClient(t, l.Addr())
			if err := c.Have(t.Context(), []byte("id")); err != wire.NotOK {
				t.Error(err)
			}
			c.Close()
		}
		if err := <-ended; !errors.Is(err, test.err) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { return nil, net.ErrClosed }
	for name, cfg := range map[string]snoop.Config{
		"no server":  {Output: io.Discard},
		"no output":  {Dial: dial},
		"format":     {Dial: dial, Output: io.Discard, Format: "xml"},
		"long id":    {Dial: dial, Output: io.Discard, IDPrefix: make([]byte, wire.MaxID+1)},
		"operation":  {Dial: dial, Output: io.Discard, Ops: []wire.Op{wire.UserOps}},
		"under zero": {Dial: dial, Output: io.Discard, MaxQueue: -1},
	} {
		if _, err := snoop.New(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
