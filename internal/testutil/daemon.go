package testutil

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/distcache/distcache/wire"
)

// A Daemon is a program's run function under way inside a test.
type Daemon struct {
	Cancel context.CancelFunc  // what a signal does
	Ended  chan error          // its error, and closed then
	Out    Buffer              // standard output
	Log    Buffer              // what it logged after it had started
	Logged map[string][]string // the addresses that it logged before, by message
}

// Start runs a daemon until it logs, in JSON, that it has started. It ends with the test.
func Start(t testing.TB, run func(ctx context.Context, stdout, stderr io.Writer) error) *Daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &Daemon{Cancel: cancel, Ended: make(chan error, 1), Logged: map[string][]string{}}
	r, w := io.Pipe()
	go func() {
		err := run(ctx, &d.Out, w)
		w.Close()
		d.Ended <- err
		close(d.Ended)
	}()
	t.Cleanup(func() {
		cancel()
		for range d.Ended { // until it is closed
		}
	})
	log := bufio.NewScanner(r)
	for log.Scan() {
		var line struct{ Msg, Address string }
		if err := json.Unmarshal(log.Bytes(), &line); err != nil {
			t.Fatalf("log has %q: %v", log.Text(), err)
		}
		d.Logged[line.Msg] = append(d.Logged[line.Msg], line.Address)
		if line.Msg == "started" || line.Msg == "ready" { // the latter of dc_snoop, which has nothing to wait for
			go io.Copy(&d.Log, r)
			return d
		}
	}
	t.Fatalf("it did not start: %v", <-d.Ended)
	return nil
}

// Stop ends the daemon as a signal does.
func (d *Daemon) Stop() error {
	d.Cancel()
	return <-d.Ended
}

// Exchange makes one request on a connection, and returns the answer's payload.
func Exchange(nc net.Conn, op wire.Op, payload []byte) ([]byte, error) {
	if _, err := nc.Write(wire.AppendMessage(nil, &wire.Message{UID: 1, Op: op, Payload: payload})); err != nil {
		return nil, err
	}
	var m wire.Message
	err := wire.NewReader(nc, wire.Responses).Read(&m)
	return m.Payload, err
}

// Page asks an admin listener at an address of that network, and returns the status and the text.
func Page(t testing.TB, network, at, path string) (int, string) {
	t.Helper()
	c := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, at)
		},
	}}
	resp, err := c.Get("http://localhost" + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
