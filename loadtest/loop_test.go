package loadtest

import (
	"net"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

// A peer is a hand-made server. It is called with each request and its connection; false closes the connection.
type peer func(nc net.Conn, request wire.Message) bool

func (p peer) listen(t *testing.T) wire.Address {
	t.Helper()
	l := testutil.Listen(t, "unix")
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go p.serve(nc)
		}
	}()
	return testutil.At(t, l)
}

func (p peer) serve(nc net.Conn) {
	defer nc.Close()
	r := wire.NewReader(nc, wire.Requests)
	for {
		var m wire.Message
		if r.Read(&m) != nil || !p(nc, m) {
			return
		}
	}
}

func answerOK(m wire.Message) []byte {
	m.Response, m.Payload = true, []byte{0}
	return wire.AppendMessage(nil, &m)
}

// Servers that break the protocol are counted separately from servers that are gone, and cost only their connection.
func TestBenchAgainstPeers(t *testing.T) {
	for name, tt := range map[string]struct {
		peer  peer
		error string // "": none
	}{
		"byte by byte": {func(nc net.Conn, m wire.Message) bool {
			for _, b := range answerOK(m) {
				if _, err := nc.Write([]byte{b}); err != nil {
					return false
				}
			}
			return true
		}, ""},
		"other request": {func(nc net.Conn, m wire.Message) bool {
			m.UID++
			_, err := nc.Write(answerOK(m))
			return err == nil
		}, "corrupt answer"},
		"two answers": {func(nc net.Conn, m wire.Message) bool {
			_, err := nc.Write(append(answerOK(m), answerOK(m)...))
			return err == nil
		}, "corrupt answer"},
		"another protocol": {func(nc net.Conn, _ wire.Message) bool {
			_, _ = nc.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
			return false
		}, "corrupt answer"},
		"half an answer": {func(nc net.Conn, m wire.Message) bool {
			_, _ = nc.Write(answerOK(m)[:10])
			return false
		}, "connection lost"},
		"none": {func(net.Conn, wire.Message) bool { return false }, "connection lost"},
	} {
		for mode, persistent := range map[string]bool{"kept": true, "each time": false} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				cfg := benchOf(t, "add=1", tt.peer.listen(t))
				cfg.Persistent, cfg.Pipeline, cfg.DataMax = persistent, 1, wire.MaxAddData
				r := measured(t, cfg, func(r *Result) bool { return r.Total.Good > 0 || r.Errors[tt.error] > 0 })
				if tt.error == "" && (r.Total.Good == 0 || len(r.Errors) > 0) {
					t.Errorf("%d good, errors %v", r.Total.Good, r.Errors)
				}
				if tt.error != "" && (r.Total.Good > 0 || r.Errors[tt.error] == 0) {
					t.Errorf("%d good, errors %v, want %q", r.Total.Good, r.Errors, tt.error)
				}
			})
		}
	}
}

// A server that does not answer is given up after RequestTimeout, and asked again.
func TestBenchGivesUpWaiting(t *testing.T) {
	silent := peer(func(net.Conn, wire.Message) bool { return true })
	cfg := benchOf(t, "add=1", silent.listen(t))
	cfg.Pipeline, cfg.RequestTimeout = 1, 30*time.Millisecond
	r := measured(t, cfg, func(r *Result) bool { return r.Errors["no answer in time"] >= 2 })
	if r.Errors["no answer in time"] < 2 || r.Total.Good > 0 {
		t.Errorf("%d good, errors %v", r.Total.Good, r.Errors)
	}
}
