package client

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
)

// A fakeServer is dialled in memory, and hands each connection's server side to a function.
type fakeServer struct {
	t     *testing.T
	serve func(p *peer)
	mu    sync.Mutex
	dials int
	down  error
}

func (s *fakeServer) dial(context.Context) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dials++
	if s.down != nil {
		return nil, s.down
	}
	ours, theirs := net.Pipe()
	s.t.Cleanup(func() { _ = theirs.Close() })
	go func() {
		defer theirs.Close()
		s.serve(&peer{t: s.t, nc: theirs, r: wire.NewReader(theirs, wire.Requests)})
	}()
	return ours, nil
}

func (s *fakeServer) set(down error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

func (s *fakeServer) dialled() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dials
}

func newClient(t *testing.T, serve func(p *peer), opts ...Option) (*Client, *fakeServer) {
	s := &fakeServer{t: t, serve: serve}
	c, err := Dial("test", append(opts, WithDialer(s.dial))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c, s
}

// always answers everything with one payload.
func always(payload string) func(p *peer) {
	return func(p *peer) {
		for {
			var m wire.Message
			if p.r.Read(&m) != nil {
				return
			}
			m.Response, m.Payload = true, []byte(payload)
			if _, err := p.nc.Write(wire.AppendMessage(nil, &m)); err != nil {
				return
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	id, data := []byte("id"), []byte("data")
	for _, tt := range []struct {
		answer      string
		get, status error
	}{
		{"\x00", nil, nil},
		{"\x01", wire.NotOK, wire.NotOK},
		{"\x02", wire.Disconnected, wire.Disconnected},
		{"", wire.Disconnected, wire.Disconnected},
		{"\x65", nil, wire.MatchingSession},
		{"\xff", nil, wire.Status(255)},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, s := newClient(t, always(tt.answer))
			ctx := t.Context()
			if _, err := c.Get(ctx, id); err != tt.get {
				t.Errorf("answer %q: Get says %v, want %v", tt.answer, err, tt.get)
			}
			for name, err := range map[string]error{
				"Add": c.Add(ctx, id, data, time.Second), "Remove": c.Remove(ctx, id), "Have": c.Have(ctx, id),
			} {
				if err != tt.status {
					t.Errorf("answer %q: %s says %v, want %v", tt.answer, name, err, tt.status)
				}
			}
			if n := s.dialled(); n != 1 {
				t.Errorf("%d connections for answers that are in order", n)
			}
		})
	}
}

func TestStatusOfTwoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, always("\x00\x00"))
		err := c.Remove(t.Context(), []byte("id"))
		want(t, err, ErrLost, wire.ErrCorrupt)
		synctest.Wait()
		_, err = c.Get(t.Context(), []byte("id"))
		if err != nil || s.dialled() != 2 {
			t.Errorf("after a corrupt answer: %v, %d connections", err, s.dialled())
		}
	})
}

func TestRangesAreCheckedFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, func(p *peer) {
			var m wire.Message
			if p.r.Read(&m) == nil {
				t.Errorf("%s reached the server", m.Op)
			}
		})
		ctx := t.Context()
		id, data, long := []byte("id"), []byte("data"), make([]byte, wire.MaxID+1)
		for _, tt := range []struct{ got, want error }{
			{c.Add(ctx, nil, data, 0), wire.IDRange},
			{c.Add(ctx, long, data, 0), wire.IDRange},
			{c.Add(ctx, id, nil, 0), wire.DataRange},
			{c.Add(ctx, id, make([]byte, wire.MaxData+1), 0), wire.DataRange},
			{c.Add(ctx, id, make([]byte, wire.MaxPayload-8-1), 0), wire.DataRange},
			{c.Add(ctx, id, data, wire.MaxTimeout+1), wire.TimeoutRange},
			{c.Remove(ctx, long), wire.NotOK},
			{c.Have(ctx, nil), wire.NotOK},
		} {
			if tt.got != tt.want {
				t.Errorf("got %v, want %v", tt.got, tt.want)
			}
		}
		if _, err := c.Get(ctx, long); err != wire.NotOK {
			t.Errorf("Get of a long id: %v", err)
		}
	})
}

// The connection is lost after the request was read, at first: reads are asked again, writes are not.
func TestLostWithRequestUnderWay(t *testing.T) {
	for _, tt := range []struct {
		op    wire.Op
		again bool
	}{{wire.OpAdd, false}, {wire.OpGet, true}, {wire.OpRemove, false}, {wire.OpHave, true}} {
		synctest.Test(t, func(t *testing.T) {
			asked := 0
			c, s := newClient(t, func(p *peer) {
				for {
					var m wire.Message
					if p.r.Read(&m) != nil {
						return
					}
					if m.Op == tt.op {
						if asked++; asked == 1 {
							return
						}
					}
					p.answer(m, "\x00")
				}
			})
			ctx, id := t.Context(), []byte("id")
			warm := c.Have
			if tt.op == wire.OpHave {
				warm = c.Remove
			}
			if err := warm(ctx, id); err != nil {
				t.Fatal(err)
			}
			var err error
			switch tt.op {
			case wire.OpAdd:
				err = c.Add(ctx, id, []byte("data"), time.Second)
			case wire.OpGet:
				_, err = c.Get(ctx, id)
			case wire.OpRemove:
				err = c.Remove(ctx, id)
			case wire.OpHave:
				err = c.Have(ctx, id)
			}
			if tt.again && (err != nil || asked != 2 || s.dialled() != 2) {
				t.Errorf("%s: %v, asked %d times on %d connections", tt.op, err, asked, s.dialled())
			}
			if !tt.again {
				want(t, err, ErrLost)
				if asked != 1 {
					t.Errorf("%s: sent %d times", tt.op, asked)
				}
			}
		})
	}
}

// A server that closes an idle connection costs nobody anything.
func TestReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, func(p *peer) {
			var m wire.Message
			if p.r.Read(&m) == nil {
				p.answer(m, "\x00")
			}
		})
		for i := range 20 {
			if err := c.Add(t.Context(), []byte{byte(i + 1)}, []byte("data"), time.Second); err != nil {
				t.Errorf("add %d: %v", i, err)
			}
			synctest.Wait()
		}
		if s.dialled() != 20 {
			t.Errorf("%d connections, want 20", s.dialled())
		}
	})
}

func TestIdleConnectionClosedBeforeAnyUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		c, _ := newClient(t, func(p *peer) {
			if first {
				first = false
				time.Sleep(time.Minute)
				return
			}
			always("\x00")(p)
		})
		time.Sleep(time.Hour)
		if err := c.Have(t.Context(), []byte("id")); err != nil {
			t.Error(err)
		}
	})
}

// While the server is gone, calls fail at once and few of them try to connect; when it is back so is the client.
func TestServerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, always("\x00"))
		refused := errors.New("connection refused")
		s.set(refused)
		c.mu.Lock()
		conn := c.conn
		c.mu.Unlock()
		conn.Abort(errors.New("cut"))
		time.Sleep(time.Second)
		start := time.Now()
		for range 1000 {
			err := c.Add(t.Context(), []byte("id"), []byte("data"), time.Second)
			want(t, err, ErrNotSent, refused)
			time.Sleep(10 * time.Millisecond)
		}
		if calls := time.Since(start) - 10*time.Second; calls != 0 {
			t.Errorf("the calls took %v", calls)
		}
		if n := s.dialled() - 1; n < 10 || n > 30 {
			t.Errorf("%d attempts to connect in 10 s", n)
		}
		s.set(nil)
		time.Sleep(maxBackoff)
		if err := c.Have(t.Context(), []byte("id")); err != nil {
			t.Error(err)
		}
	})
}

func TestServerThatOnlyAccepts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := newClient(t, func(*peer) {})
		for range 1000 {
			synctest.Wait()
			if err := c.Have(t.Context(), []byte("id")); err == nil {
				t.Error("answered by nobody")
			}
			time.Sleep(10 * time.Millisecond)
		}
		if n := s.dialled(); n > 40 {
			t.Errorf("%d attempts to connect in 10 s", n)
		}
	})
}

func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := newClient(t, func(p *peer) { _, _ = io.Copy(io.Discard, p.nc) })
		start := time.Now()
		err := c.Have(t.Context(), []byte("id"))
		want(t, err, ErrTimeout)
		if took := time.Since(start); took != DefaultTimeout {
			t.Errorf("took %v without a deadline, want %v", took, DefaultTimeout)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		start = time.Now()
		err = c.Add(ctx, []byte("id"), []byte("data"), time.Second)
		want(t, err, ErrTimeout, context.DeadlineExceeded)
		if took := time.Since(start); took != 50*time.Millisecond {
			t.Errorf("took %v, want 50ms", took)
		}
	})
}

// One attempt to connect serves all who wait for it, each for as long as it may.
func TestSlowDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fakeServer{t: t, serve: always("\x00")}
		c, err := New("test", WithDialer(func(ctx context.Context) (net.Conn, error) {
			time.Sleep(time.Second)
			return s.dial(ctx)
		}))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := c.Have(t.Context(), []byte("id")); err != nil {
					t.Error(err)
				}
			})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		want(t, c.Have(ctx, []byte("id")), ErrTimeout, ErrNotSent)
		wg.Wait()
		if s.dialled() != 1 {
			t.Errorf("%d connections", s.dialled())
		}
	})
}

func TestDialErrors(t *testing.T) {
	refused := errors.New("connection refused")
	_, err := Dial("IP:x:1", WithDialer(func(context.Context) (net.Conn, error) { return nil, refused }))
	want(t, err, refused)
	if _, err := Dial("localhost"); err == nil {
		t.Error("an address without its kind was taken")
	}
	_, err = Dial("IP:x:1", WithDialTimeout(time.Millisecond), WithDialer(func(ctx context.Context) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	want(t, err, context.DeadlineExceeded)
}

func TestClientCloseDuringUse(t *testing.T) {
	c, _ := newClient(t, always("\x00"))
	var wg, answered sync.WaitGroup
	answered.Add(8)
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				err := c.Have(t.Context(), []byte("id"))
				if i == 0 {
					answered.Done()
				}
				if err != nil {
					want(t, err, ErrClosed)
					return
				}
			}
		})
	}
	answered.Wait()
	_ = c.Close()
	wg.Wait()
	_ = c.Close()
	want(t, c.Add(t.Context(), []byte("id"), []byte("data"), time.Second), ErrClosed, ErrNotSent)
}

func TestCloseDuringDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New("test", WithDialTimeout(time.Hour), WithDialer(func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		if err != nil {
			t.Fatal(err)
		}
		out := make(chan error, 1)
		go func() { out <- c.Have(t.Context(), []byte("id")) }()
		synctest.Wait()
		_ = c.Close()
		want(t, <-out, ErrClosed)
	})
}
