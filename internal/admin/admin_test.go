package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/raftstore"
)

// A fakeNode notes the changes it is asked for.
type fakeNode struct {
	status  raftstore.Status
	members []raftstore.Member
	calls   chan string
	err     error
	block   chan struct{} // when set, a change waits for it or for its context
}

func (f *fakeNode) Status() raftstore.Status { return f.status }

func (f *fakeNode) Members(context.Context) ([]raftstore.Member, error) { return f.members, f.err }

func (f *fakeNode) Join(ctx context.Context, peers []string, discard bool) error {
	return f.note(ctx, "join %q %v", peers, discard)
}

func (f *fakeNode) Leave(ctx context.Context) error { return f.note(ctx, "leave") }

func (f *fakeNode) RemoveNode(ctx context.Context, name string) error {
	return f.note(ctx, "remove %q", name)
}

func (f *fakeNode) Transfer(ctx context.Context, name string) error {
	return f.note(ctx, "transfer %q", name)
}

func (f *fakeNode) Grant(n string) error { return f.note(context.Background(), "grant %s", n) }

func (f *fakeNode) Compact(ctx context.Context) (raftstore.Compacted, error) {
	return raftstore.Compacted{StateBefore: 4, StateAfter: 3, LogBefore: 2, LogAfter: 1}, f.note(ctx, "compact")
}

func (f *fakeNode) note(ctx context.Context, format string, args ...any) error {
	f.calls <- fmt.Sprintf(format, args...)
	if f.block != nil {
		select {
		case <-f.block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return f.err
}

func newFake() *fakeNode {
	return &fakeNode{
		status:  raftstore.Status{Node: "n1", Role: raftstore.RoleLeader, Voter: true, Term: 3, Sessions: 17},
		members: []raftstore.Member{{Name: "n1", Voter: true, Role: raftstore.RoleLeader}, {Name: "n2", Lag: 4, Error: "refused"}},
		calls:   make(chan string, 10),
	}
}

// serve runs a server for node on a unix socket or on TCP, and returns it with a client of it.
func serve(t *testing.T, node Node, network string) (*Server, *Client) {
	t.Helper()
	l := testutil.Listen(t, network)
	s := NewServer(node, slog.New(slog.NewTextHandler(io.Discard, nil)))
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	client := NewClient(func(ctx context.Context) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
	})
	t.Cleanup(func() {
		client.Close()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return s, client
}

func TestReading(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		node := newFake()
		_, client := serve(t, node, network)
		status, err := client.Status(t.Context())
		if err != nil || !reflect.DeepEqual(status, node.status) {
			t.Errorf("%s: status is %+v, %v", network, status, err)
		}
		members, err := client.Members(t.Context())
		if err != nil || !reflect.DeepEqual(members, node.members) {
			t.Errorf("%s: members are %+v, %v", network, members, err)
		}
	}
}

// changes are the calls that change the cluster, and how the fake notes them.
var changes = []struct {
	call func(context.Context, *Client) error
	note string
}{
	{func(ctx context.Context, c *Client) error { return c.Join(ctx, []string{"a:1", "b:2"}, true) }, `join ["a:1" "b:2"] true`},
	{func(ctx context.Context, c *Client) error { return c.Leave(ctx) }, `leave`},
	{func(ctx context.Context, c *Client) error { return c.RemoveNode(ctx, "n2", false) }, `remove "n2"`},
	{func(ctx context.Context, c *Client) error { return c.Transfer(ctx, "") }, `transfer ""`},
	{func(ctx context.Context, c *Client) error { return c.Transfer(ctx, "n3") }, `transfer "n3"`},
	{compactCall, `compact`},
}

// compactCall fails when the answer is not the fake's.
func compactCall(ctx context.Context, c *Client) error {
	done, err := c.Compact(ctx)
	if want := (raftstore.Compacted{StateBefore: 4, StateAfter: 3, LogBefore: 2, LogAfter: 1}); err == nil && done != want {
		return fmt.Errorf("compacted %+v", done)
	}
	return err
}

func TestChanges(t *testing.T) {
	node := newFake()
	_, client := serve(t, node, "unix")
	for _, change := range changes {
		if err := change.call(t.Context(), client); err != nil {
			t.Errorf("%s: %v", change.note, err)
		}
		if got := <-node.calls; got != change.note {
			t.Errorf("the node was asked for %s, want %s", got, change.note)
		}
	}
}

func TestChangesAreRefusedOverTCP(t *testing.T) {
	node := newFake()
	_, client := serve(t, node, "tcp")
	for _, change := range changes {
		wantError(t, change.call(t.Context(), client), http.StatusForbidden, "cannot be changed over TCP")
	}
	if len(node.calls) > 0 {
		t.Errorf("the node was asked for %s", <-node.calls)
	}
}

// A node that answers is told to leave, unless whoever asks insists: removed, it would go on until it finds out.
func TestRemoveOfANodeThatAnswers(t *testing.T) {
	node := newFake()
	_, client := serve(t, node, "unix")
	err := client.RemoveNode(t.Context(), "n1", false)
	wantError(t, err, http.StatusConflict, "n1 answers, and is leader")
	var e *Error
	const hint = `Say "dc_admin leave" to n1 itself. -force removes it all the same.`
	if errors.As(err, &e) && e.Hint != hint || len(node.calls) > 0 {
		t.Errorf("got %+v, %d calls", e, len(node.calls))
	}
	for name, force := range map[string]bool{"n1": true, "n2": false, "n9": false} {
		if err := client.RemoveNode(t.Context(), name, force); err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := <-node.calls; got != fmt.Sprintf("remove %q", name) {
			t.Errorf("%s: the node was asked for %s", name, got)
		}
	}
}

func TestMemory(t *testing.T) {
	_, client := serve(t, Memory{
		Name: "n1", Limit: 10, Sessions: func() int { return 4 }, Version: "1", Started: time.Now().Add(-time.Minute),
	}, "unix")
	status, err := client.Status(t.Context())
	up := status.Uptime
	status.Uptime = 0
	want := raftstore.Status{Node: "n1", Role: RoleMemory, Sessions: 4, Limit: 10}
	want.Version = "1"
	if err != nil || status != want || up < 60 || up > 3600 {
		t.Errorf("status is %+v, up %d s, %v", status, up, err)
	}
	_, err = client.Members(t.Context())
	wantError(t, err, http.StatusConflict, "in memory only")
	for _, change := range changes {
		wantError(t, change.call(t.Context(), client), http.StatusConflict, "in memory only")
	}
}

func wantError(t *testing.T, err error, code int, part string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code || !strings.Contains(e.Message, part) {
		t.Errorf("got %#v, want an Error %d with %q", err, code, part)
	}
}

type hintedError struct{}

func (hintedError) Error() string { return "this node has sessions of its own" }
func (hintedError) Hint() string  { return "Discard them." }

func TestErrorsOfTheNode(t *testing.T) {
	tests := []struct {
		err     error
		code    int
		message string
		hint    string
	}{
		{fmt.Errorf("join: %w", hintedError{}), http.StatusConflict, "join: this node has sessions of its own", "Discard them."},
		{errors.New("refused"), http.StatusConflict, "refused", ""},
		{raftstore.ErrNoLeader, http.StatusServiceUnavailable,
			"the cluster has no leader",
			"A change needs a leader, and a leader a majority of the voters: start those that are down, or see what is between them."},
		{fmt.Errorf("waiting: %w", context.DeadlineExceeded), http.StatusGatewayTimeout, "waiting: context deadline exceeded",
			"Whether it took effect is not known; \"dc_admin members\" shows how things stand."},
	}
	for _, test := range tests {
		node := newFake()
		node.err = test.err
		_, client := serve(t, node, "unix")
		var e *Error
		if err := client.Leave(t.Context()); !errors.As(err, &e) {
			t.Errorf("got %v", err)
		} else if want := (Error{Code: test.code, Message: test.message, Hint: test.hint}); *e != want {
			t.Errorf("got %+v, want %+v", *e, want)
		}
	}
}

func TestOneChangeAtATime(t *testing.T) {
	node := newFake()
	node.block = make(chan struct{})
	_, client := serve(t, node, "unix")
	first := make(chan error, 1)
	go func() { first <- client.Leave(context.Background()) }()
	<-node.calls
	wantError(t, client.RemoveNode(t.Context(), "n2", false), http.StatusConflict, "another change")
	close(node.block)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := client.RemoveNode(t.Context(), "n2", false); err != nil {
		t.Error(err)
	}
}

func TestShutdownCutsAChangeOff(t *testing.T) {
	node := newFake()
	node.block = make(chan struct{}) // for good
	s, client := serve(t, node, "unix")
	first := make(chan error, 1)
	go func() { first <- client.Leave(context.Background()) }()
	<-node.calls
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	if err := <-first; err == nil {
		t.Error("the change was answered OK")
	}
}

// TestShutdownEndsCompact: a node that is to stop does not finish what may take an hour.
func TestShutdownEndsCompact(t *testing.T) {
	node := newFake()
	node.block = make(chan struct{}) // for good
	s, client := serve(t, node, "unix")
	first := make(chan error, 1)
	go func() { first <- compactCall(context.Background(), client) }()
	<-node.calls
	if err := s.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	wantError(t, <-first, http.StatusServiceUnavailable, "this node is stopping")
}

func TestShutdownLetsAChangeFinish(t *testing.T) {
	node := newFake()
	node.block = make(chan struct{})
	s, client := serve(t, node, "unix")
	first, stopped := make(chan error, 1), make(chan error, 1)
	go func() { first <- client.Leave(context.Background()) }()
	<-node.calls
	go func() { stopped <- s.Shutdown(context.Background()) }()
	close(node.block)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

func TestBadRequests(t *testing.T) {
	node := newFake()
	_, client := serve(t, node, "unix")
	tests := []struct {
		method, path, body string
		code               int
	}{
		{"POST", "/v1/join", `{"peers":`, http.StatusBadRequest},
		{"POST", "/v1/join", `{"peers":[]}`, http.StatusBadRequest},
		{"POST", "/v1/join", `{"peers":["a:1"],"force":true}`, http.StatusBadRequest},
		{"POST", "/v1/join", `{"peers":["a:1"]} {}`, http.StatusBadRequest},
		{"POST", "/v1/join", `{"peers":["` + strings.Repeat("x", maxBody) + `"]}`, http.StatusRequestEntityTooLarge},
		{"POST", "/v1/remove", `{}`, http.StatusBadRequest},
		{"POST", "/v1/leave", ``, http.StatusBadRequest},
		{"GET", "/v1/leave", ``, http.StatusMethodNotAllowed},
		{"POST", "/v1/status", `{}`, http.StatusMethodNotAllowed},
		{"GET", "/v1/statusx", ``, http.StatusNotFound},
		{"GET", "/v1/status/", ``, http.StatusNotFound},
	}
	for _, test := range tests {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://admin"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.http.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.code {
			t.Errorf("%s %s %.40s: %d, want %d", test.method, test.path, test.body, resp.StatusCode, test.code)
		}
	}
	if len(node.calls) > 0 {
		t.Errorf("the node was asked for %s", <-node.calls)
	}
}

func TestOtherRoutes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(newFake(), slog.New(slog.NewTextHandler(io.Discard, nil)))
	s.Handle("GET /healthz", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "well") }))
	go s.Serve(l)
	defer s.Shutdown(t.Context())
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "well" {
		t.Errorf("got %q", b)
	}
}

func TestClientWithoutServer(t *testing.T) {
	refused := errors.New("refused")
	client := NewClient(func(context.Context) (net.Conn, error) { return nil, refused })
	if _, err := client.Status(t.Context()); !errors.Is(err, ErrUnreachable) || !errors.Is(err, refused) || errors.Is(err, ErrNotAdmin) {
		t.Errorf("got %v", err)
	}
}

func TestClientOfAnotherService(t *testing.T) {
	answers := []string{
		"",
		"220 mail ready\r\n",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nlost",
		"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell",
	}
	for _, answer := range answers {
		client := NewClient(func(context.Context) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				buf := make([]byte, 4096)
				_, _ = theirs.Read(buf)
				_, _ = io.WriteString(theirs, answer)
				theirs.Close()
			}()
			return ours, nil
		})
		if _, err := client.Status(t.Context()); !errors.Is(err, ErrNotAdmin) || errors.Is(err, ErrUnreachable) {
			t.Errorf("%q: got %v", answer, err)
		}
	}
}

func TestClientGivesUp(t *testing.T) {
	node := newFake()
	node.block = make(chan struct{})
	defer close(node.block)
	_, client := serve(t, node, "unix")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-node.calls
		cancel()
	}()
	if err := client.Leave(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotAdmin) {
		t.Errorf("got %v", err)
	}
}
