package serve

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testlog"
)

// patience bounds a test's wait for what must happen; nothing is asserted on it.
const patience = time.Minute

// maxLine is the longest line of the toy protocol.
const maxLine = 1 << 20

// lines is a toy protocol. Each request is a line, and so is its answer, in the order of the requests:
//
//	say TEXT    TEXT, at once
//	do KEY      what the test says, when the test says so
//	hush KEY    the same, without an answer
//	drain       "drained", when all before has been answered
//	quit        nothing; the connection ends
type lines struct {
	seed  maphash.Seed
	begun chan *job // the jobs that are carried out
}

func newLines() *lines { return &lines{maphash.MakeSeed(), make(chan *job, 1<<16)} }

// config is that of a server of this protocol.
func (l *lines) config() Config {
	return Config{Open: func(c *Conn) Session { return lineSession{l, c} }, MaxMessage: maxLine, Ordered: true}
}

type lineSession struct {
	*lines
	conn *Conn
}

var errCommand = errors.New("no such command")

func (s lineSession) Next(b []byte) (int, error) {
	line, _, whole := bytes.Cut(b, []byte("\n"))
	verb, rest, _ := bytes.Cut(line, []byte(" "))
	switch {
	case !bytes.Contains([]byte("say do hush drain quit"), verb):
		return 0, errCommand
	case !whole:
		return 0, nil
	}
	switch string(verb) {
	case "say":
		s.conn.Answer(text(rest))
	case "do", "hush":
		j := &job{lines: s.lines, verb: string(verb), result: make(chan string, 1)}
		j.key = j.Keep(rest)
		s.conn.Begin(j, maphash.Bytes(s.seed, rest))
	case "drain":
		s.conn.Drain()
		s.conn.Answer(text("drained"))
	case "quit":
		return 0, io.EOF
	}
	return len(line) + 1, nil
}

// text is an answer.
type text []byte

func (t text) AppendAnswer(dst []byte) []byte { return append(append(dst, t...), '\n') }

// A job is a request that is carried out when the test says so.
type job struct {
	Call
	*lines
	verb   string
	key    []byte
	answer string
	result chan string // for Do, unless it is inline
}

func (j *job) Do(ctx context.Context) {
	j.begun <- j
	if j.c.s.cfg.Inline {
		return
	}
	select {
	case j.answer = <-j.result:
	case <-ctx.Done():
		j.answer = "too late"
	}
	j.Finish()
}

// end carries the job out.
func (j *job) end(answer string) {
	if j.c.s.cfg.Inline {
		j.answer = answer
		j.Finish()
	} else {
		j.result <- answer
	}
}

func (j *job) AppendAnswer(dst []byte) []byte {
	if j.verb == "hush" {
		return dst
	}
	return text(j.answer).AppendAnswer(dst)
}

func (j *job) AppendFailure(dst []byte) []byte { return text("failed").AppendAnswer(dst) }

// next are the next jobs to be begun, by key.
func (l *lines) next(n int) map[string]*job {
	all := make(map[string]*job)
	for range n {
		j := <-l.begun
		all[string(j.key)] = j
	}
	return all
}

// An instance is a server under test with one listener.
type instance struct {
	*Server
	*lines
	addr net.Addr
	log  *testlog.Buffer
}

// kinds are what start knows: a server with workers or one that is inline, on a unix socket or over TCP.
var kinds = []string{"unix", "tcp", "unix inline", "tcp inline"}

// each runs a test with each kind of server.
func each(t *testing.T, test func(t *testing.T, kind string)) {
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) { test(t, kind) })
	}
}

func start(t *testing.T, kind string, limits Limits) *instance {
	t.Helper()
	network, _, inline := strings.Cut(kind, " ")
	i := &instance{lines: newLines(), log: new(testlog.Buffer)}
	cfg := i.config()
	cfg.Inline, cfg.Limits, cfg.Logger = inline, limits, slog.New(slog.NewTextHandler(i.log, nil))
	var err error
	if i.Server, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1:0"
	if network == "unix" {
		at = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	i.addr = l.Addr()
	served := make(chan error, 1)
	go func() { served <- i.Serve(l) }()
	t.Cleanup(func() {
		i.Close()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if s := i.Stats(); s.Connections != 0 || s.Untaken != 0 || i.counters.unfinished.Load() != 0 {
			t.Errorf("in the end: %+v", s)
		}
	})
	return i
}

func (i *instance) dial(t *testing.T) *peer {
	t.Helper()
	nc, err := net.Dial(i.addr.Network(), i.addr.String())
	if err != nil {
		t.Fatal(err)
	}
	nc.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { nc.Close() })
	return &peer{t, nc}
}

// A peer is a client of the toy protocol.
type peer struct {
	t *testing.T
	net.Conn
}

func (p *peer) send(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p, strings.Join(lines, "\n")+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// want reads what must come next, and no more.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	want := strings.Join(lines, "\n") + "\n"
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p, got); err != nil || string(got) != want {
		p.t.Fatalf("got %.200q, %v, want %.200q", got[:n], err, want)
	}
}

// wantClosed fails the test unless the server closes the connection without a further word.
func (p *peer) wantClosed() {
	p.t.Helper()
	var timeout net.Error
	if n, err := p.Read(make([]byte, 1)); n > 0 || errors.As(err, &timeout) && timeout.Timeout() {
		p.t.Fatalf("connection still open: %d bytes, %v", n, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// piped is a connection to a server that has no listener.
func piped(s *Server) net.Conn {
	ours, theirs := net.Pipe()
	go s.ServeConn(theirs)
	return ours
}
