package serve

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A connection with MaxInFlight requests isn't read; answers that wait for their turn count.
func TestInFlightInOrder(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{MaxInFlight: 3})
		p := i.dial(t)
		p.send("do a", "do b", "do c", "do d")
		jobs := i.next(3)
		jobs["b"].end("b")
		jobs["c"].end("c")
		eventually(t, "answers wait", func() bool { return i.Stats().Untaken == 4 })
		if len(i.begun) > 0 {
			t.Error("a fourth was let in")
		}
		jobs["a"].end("a")
		p.want("a", "b", "c")
		i.next(1)["d"].end("d")
		p.want("d")
	})
}

// Past MaxRequests a request is answered as failed at once, in its place.
func TestOverloadInOrder(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{MaxRequests: 2})
		p := i.dial(t)
		p.send("do a", "do b", "do c", "say d")
		jobs := i.next(2)
		eventually(t, "a third is refused", func() bool { return i.Stats().Overloaded == 1 })
		jobs["b"].end("b")
		jobs["a"].end("a")
		p.want("a", "b", "failed", "d")
		if n := i.Stats().Overloaded; n != 1 {
			t.Errorf("%d overloaded", n)
		}
	})
}

// A peer that takes nothing is dropped after WriteTimeout.
func TestSlowPeer(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{WriteTimeout: 50 * time.Millisecond})
		p := i.dial(t)
		long := []byte("say " + strings.Repeat("x", 1<<16) + "\n")
		var err error
		for err == nil {
			_, err = p.Write(long)
		}
		if os.IsTimeout(err) {
			t.Fatal("the peer may write on and on")
		}
		eventually(t, "it is gone", func() bool { s := i.Stats(); return s.Connections == 0 && s.Stalled == 1 })
	})
}

// What breaks the protocol closes the connection, after the answers that are due.
func TestBrokenProtocol(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		for text, want := range map[string]string{
			"x":                                   errCommand.Error(),
			"say " + strings.Repeat("x", maxLine): errTooLong.Error(),
		} {
			i := start(t, kind, Limits{})
			p := i.dial(t)
			go io.WriteString(p, "say hello\n"+text)
			p.want("hello")
			p.wantClosed()
			eventually(t, "it is gone", func() bool { s := i.Stats(); return s.Connections == 0 && s.Broken == 1 })
			if log := i.log.String(); !strings.Contains(log, want) {
				t.Errorf("log: %.200s, not %s", log, want)
			}
		}
		i := start(t, kind, Limits{})
		p := i.dial(t)
		io.WriteString(p, "say hel")
		p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		p.wantClosed()
		if !strings.Contains(i.log.String(), errTruncated.Error()) {
			t.Errorf("log: %s", i.log)
		}
	})
}

// A message may be as long as MaxMessage, and come in any pieces.
func TestLongMessage(t *testing.T) {
	each(t, func(t *testing.T, kind string) {
		i := start(t, kind, Limits{})
		p := i.dial(t)
		long := strings.Repeat("x", maxLine-len("say \n"))
		go func() {
			all := []byte("say a\nsay " + long + "\nsay b\n")
			for _, n := range []int{1, 2, 10, 5000, 100000} {
				p.Write(all[:n])
				all = all[n:]
			}
			p.Write(all)
		}()
		p.want("a", long, "b")
	})
}

// What messages take that are not finished is bounded for all connections together: those that have most are closed.
func TestUnfinishedMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 1 << 20
		cfg := newLines().config()
		cfg.Limits = Limits{MaxHeld: limit, MessageTimeout: time.Hour}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		var all []net.Conn
		for range 8 {
			nc := piped(s)
			defer nc.Close()
			all = append(all, nc)
		}
		for _, nc := range all {
			go nc.Write(append([]byte("say "), make([]byte, maxLine/2)...))
		}
		synctest.Wait()
		if n := s.counters.unfinished.Load(); n > limit {
			t.Errorf("%d bytes are held", n)
		}
		if n := s.Stats().Stalled; n == 0 || n == 8 {
			t.Errorf("%d connections were closed", n)
		}
	})
}

// What many connections have under way takes bounded memory together, and those that have little are served meanwhile.
func TestMaxHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const conns, limit = 32, 2 << 20
		lines := newLines()
		cfg := lines.config()
		cfg.Inline = true
		cfg.Limits = Limits{MaxHeld: limit, RequestTimeout: time.Hour}
		cfg.MessageTimeout, cfg.WriteTimeout = 2*time.Hour, 2*time.Hour
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		payload := bytes.Repeat([]byte("x"), 30000)
		burst := bytes.Repeat(append(append([]byte("do "), payload...), '\n'), 64)
		var all []net.Conn
		for range conns {
			nc := piped(s)
			defer nc.Close()
			all = append(all, nc)
		}
		synctest.Wait() // a connection's share depends on how many there are
		for _, nc := range all {
			go nc.Write(burst) // not all of it will be taken
		}
		synctest.Wait()

		least := max(flushSize, limit/conns) + len(payload)
		if held, most := s.Stats().Held, int64(limit+conns*least); held > most || held < limit {
			t.Errorf("%d connections hold %d bytes, want %d to %d", conns, held, limit, most)
		}

		before := s.Stats().InFlight
		nc := piped(s)
		defer nc.Close()
		go nc.Write([]byte("do another\n"))
		synctest.Wait()
		if s.Stats().InFlight != before+1 {
			t.Error("the request of a connection that holds little was not taken")
		}

		s.abort()
		for s.Stats().InFlight > 0 {
			(<-lines.begun).end("")
		}
		synctest.Wait()
		if held := s.Stats().Held; held != 0 {
			t.Errorf("%d bytes are held with no request under way", held)
		}
	})
}

// Requests that wait hold about what they take, not what answers or larger requests took before in the same memory.
func TestWaitingRequestsHoldLittle(t *testing.T) {
	const many = defaultMaxInFlight
	for range many {
		b := make([]byte, 0, 1<<15)
		putBuffer(&b)
	}
	i := start(t, "tcp inline", Limits{RequestTimeout: time.Hour})
	p := i.dial(t)
	var burst []byte
	for k := range many {
		burst = fmt.Appendf(burst, "do %d\n", k)
	}
	answer := strings.Repeat("x", 30000)
	for round := range 10 {
		if _, err := p.Write(burst); err != nil {
			t.Fatal(err)
		}
		jobs := i.next(many)
		var sum int
		for _, j := range jobs {
			sum += cap(*j.kept)
		}
		if sum > maxHeld {
			t.Fatalf("in round %d, %d requests hold %d bytes", round, many, sum)
		}
		go func() {
			for _, j := range jobs {
				j.end(answer)
			}
		}()
		if _, err := io.CopyN(io.Discard, p, int64(many*(len(answer)+1))); err != nil {
			t.Fatal(err)
		}
	}
}

// A shakyConn is a connection with a handshake that never ends by itself.
type shakyConn struct{ net.Conn }

func (shakyConn) HandshakeContext(ctx context.Context) error {
	<-ctx.Done()
	return errors.New("no handshake came")
}

// A handshake is done before anything is read, within the time that a message may take.
func TestHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := newLines().config()
		cfg.Limits = Limits{MessageTimeout: time.Second}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := net.Pipe()
		began := time.Now()
		if err := s.ServeConn(shakyConn{theirs}); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("given up after %v", took)
		}
		if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("the other side reads %v", err)
		}
		if n := s.Stats().Broken; n != 1 {
			t.Errorf("%d broken", n)
		}
		s.Close()
	})
}
