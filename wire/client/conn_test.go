package client

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distcache/distcache/wire"
)

func TestAnswersInAnyOrder(t *testing.T) {
	c, p := pair(t, ConnConfig{})
	const n = 50
	out := make([]<-chan result, n)
	for i := range out {
		out[i] = ask(t.Context(), c, wire.OpGet, fmt.Sprint("id", i))
	}
	reqs := make([]wire.Message, n)
	for i := range reqs {
		reqs[i] = p.request()
	}
	for i := n - 1; i >= 0; i-- {
		p.answer(reqs[i], "data of "+string(reqs[i].Payload))
	}
	for i := range out {
		if r := <-out[i]; r.err != nil || string(r.payload) != fmt.Sprint("data of id", i) {
			t.Errorf("request %d: %q, %v", i, r.payload, r.err)
		}
	}
	if n := c.InFlight(); n != 0 {
		t.Errorf("%d requests in flight after all were answered", n)
	}
}

func TestManyCallersLargeAndSmall(t *testing.T) {
	c, p := pair(t, ConnConfig{MaxInFlight: 7})
	go p.echo()
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 60 {
				payload := make([]byte, (g*60+i)*97%(wire.MaxPayload+1))
				for j := range payload {
					payload[j] = byte(g ^ i ^ j)
				}
				got, err := c.Do(t.Context(), wire.Op(i%4), payload)
				if err != nil || !bytes.Equal(got, payload) {
					t.Errorf("caller %d request %d of %d bytes: %d bytes, %v", g, i, len(payload), len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

func TestAnswerIsKept(t *testing.T) {
	c, p := pair(t, ConnConfig{})
	go p.echo()
	first, _ := c.Do(t.Context(), wire.OpGet, []byte("the first"))
	for range 10 {
		_, _ = c.Do(t.Context(), wire.OpGet, []byte("another one"))
	}
	if string(first) != "the first" {
		t.Errorf("an answer changed under its owner: %q", first)
	}
}

func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		late := ask(ctx, c, wire.OpGet, "late")
		m := p.request()
		r := <-late
		want(t, r.err, ErrTimeout, context.DeadlineExceeded)
		wantNot(t, r.err, ErrNotSent, ErrLost)

		ctx2, cancel2 := context.WithCancel(t.Context())
		quit := ask(ctx2, c, wire.OpGet, "quit")
		p.request()
		cancel2()
		r = <-quit
		want(t, r.err, context.Canceled)
		wantNot(t, r.err, ErrNotSent, ErrLost, ErrTimeout)

		next := ask(t.Context(), c, wire.OpGet, "next")
		n := p.request()
		p.answer(m, "too late")
		p.answer(n, "in time")
		if r := <-next; r.err != nil || string(r.payload) != "in time" {
			t.Errorf("after a late answer: %q, %v", r.payload, r.err)
		}
	})
}

// While the peer takes nothing, requests wait in the queue; what is given up there never goes out.
func TestGivingUpUnsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{MaxInFlight: 2, WriteTimeout: time.Hour})
		first := ask(t.Context(), c, wire.OpGet, "stuck in a write")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		queued := ask(ctx, c, wire.OpGet, "queued")
		synctest.Wait()
		noSlot := ask(ctx, c, wire.OpGet, "waiting for its turn")
		_, err := c.Start(wire.OpGet, nil, nil)
		want(t, err, ErrBusy, ErrNotSent)
		for _, ch := range []<-chan result{queued, noSlot} {
			r := <-ch
			want(t, r.err, ErrTimeout, ErrNotSent, context.DeadlineExceeded)
		}
		_, err = c.Do(ctx, wire.OpGet, nil)
		want(t, err, ErrTimeout, ErrNotSent)
		last := ask(t.Context(), c, wire.OpGet, "last")
		synctest.Wait()
		for _, payload := range []string{"stuck in a write", "last"} {
			if m := p.request(); string(m.Payload) != payload {
				t.Errorf("sent %q, want %q", m.Payload, payload)
			} else {
				p.answer(m, "yes")
			}
		}
		<-first
		<-last
	})
}

func TestPeerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{})
		sent := ask(t.Context(), c, wire.OpAdd, "sent")
		p.request()
		half := ask(t.Context(), c, wire.OpAdd, "half written")
		if _, err := io.ReadFull(p.nc, make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		queued := ask(t.Context(), c, wire.OpAdd, "queued behind it")
		synctest.Wait()
		_ = p.nc.Close()
		for _, ch := range []<-chan result{sent, half} {
			r := <-ch
			want(t, r.err, ErrLost)
			wantNot(t, r.err, ErrNotSent)
		}
		r := <-queued
		want(t, r.err, ErrNotSent)
		wantNot(t, r.err, ErrLost)
		<-c.Done()
		_, err := c.Do(t.Context(), wire.OpAdd, nil)
		want(t, err, ErrNotSent)
		want(t, c.Err(), c.Err())
	})
}

// Requests of one write that fails: those of which nothing went out are known.
func TestPartOfAWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{})
		first := ask(t.Context(), c, wire.OpAdd, "first")
		synctest.Wait()
		second := ask(t.Context(), c, wire.OpAdd, "second")
		synctest.Wait()
		third := ask(t.Context(), c, wire.OpAdd, "third")
		synctest.Wait()
		p.answer(p.request(), "ok")
		<-first
		synctest.Wait() // second and third are one write now
		if _, err := io.ReadFull(p.nc, make([]byte, wire.Size(len("second")))); err != nil {
			t.Fatal(err)
		}
		_ = p.nc.Close()
		r := <-second
		want(t, r.err, ErrLost)
		wantNot(t, r.err, ErrNotSent)
		r = <-third
		want(t, r.err, ErrNotSent)
		wantNot(t, r.err, ErrLost)
	})
}

func TestPeerThatTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := pair(t, ConnConfig{WriteTimeout: time.Second})
		r := <-ask(t.Context(), c, wire.OpAdd, "x")
		want(t, r.err, ErrNotSent)
		<-c.Done()
	})
}

func TestAnswerThatStopsHalfWay(t *testing.T) {
	c, p := pair(t, ConnConfig{})
	out := ask(t.Context(), c, wire.OpGet, "id")
	m := p.request()
	m.Response, m.Payload = true, make([]byte, 3000)
	b := wire.AppendMessage(nil, &m)
	if _, err := p.nc.Write(b[:2500]); err != nil {
		t.Fatal(err)
	}
	_ = p.nc.Close()
	want(t, (<-out).err, ErrLost, wire.ErrCorrupt, wire.ErrTruncated)
}

func TestCorruptAnswers(t *testing.T) {
	for name, spoil := range map[string]func(b []byte) []byte{
		"version":    func(b []byte) []byte { b[1] = 0x12; return b },
		"request":    func(b []byte) []byte { b[4] = 0; return b },
		"class":      func(b []byte) []byte { b[9] = 1; return b },
		"unknown op": func(b []byte) []byte { b[10] = 9; return b },
		"other op":   func(b []byte) []byte { b[10] = byte(wire.OpAdd); return b },
		"short":      func(b []byte) []byte { b[11] = 0; return b },
		"HTTP":       func([]byte) []byte { return []byte("HTTP/1.1 400 Bad Request\r\n") },
		"never sent": func(b []byte) []byte { binary.BigEndian.PutUint32(b[5:], 3); return b },
		"without limit": func(b []byte) []byte {
			b[11] = 0
			return bytes.Repeat(append(b[:12:12], append([]byte{8, 0}, make([]byte, 2048)...)...), 17)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p := pair(t, ConnConfig{})
				out := ask(t.Context(), c, wire.OpGet, "id")
				m := p.request()
				synctest.Wait()
				writing := ask(t.Context(), c, wire.OpGet, "in a write")
				synctest.Wait()
				queued := ask(t.Context(), c, wire.OpGet, "queued")
				synctest.Wait()
				m.Response = true
				_, _ = p.nc.Write(spoil(wire.AppendMessage(nil, &m)))
				want(t, (<-out).err, ErrLost, wire.ErrCorrupt)
				want(t, (<-writing).err, ErrNotSent, wire.ErrCorrupt)
				want(t, (<-queued).err, ErrNotSent, wire.ErrCorrupt)
			})
		})
	}
}

func TestCloseDuringUse(t *testing.T) {
	c, p := pair(t, ConnConfig{})
	go p.echo()
	var wg sync.WaitGroup
	var answered sync.WaitGroup
	answered.Add(8)
	for range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				_, err := c.Do(t.Context(), wire.OpGet, []byte("x"))
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
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	want(t, c.Err(), ErrClosed)
}

func TestStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{})
		got := make(chan string, 10)
		start := func(id string) uint32 {
			uid, err := c.Start(wire.OpGet, []byte(id), func(b []byte, err error) { got <- fmt.Sprintf("%s: %s %v", id, b, err) })
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return uid
		}
		start("a")
		b := start("b")
		gone := start("c")
		for range 3 {
			m := p.request()
			if m.UID == b {
				if canceled, sent := c.Cancel(b); !canceled || !sent {
					t.Errorf("cancel of a sent request: %v, %v", canceled, sent)
				}
			}
			if m.UID != gone {
				p.answer(m, "answer")
			}
		}
		if s := <-got; s != "a: answer <nil>" {
			t.Error(s)
		}
		_ = c.Close()
		if s := <-got; s != "c:  "+ErrLost.Error()+": "+ErrClosed.Error() {
			t.Error(s)
		}
		if canceled, _ := c.Cancel(gone); canceled {
			t.Error("canceled a request that had ended")
		}
		if len(got) != 0 {
			t.Errorf("called for a canceled request: %s", <-got)
		}
	})
}

func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p := pair(t, ConnConfig{})
		time.Sleep(time.Hour)
		if s := c.Silence(); s != 0 {
			t.Errorf("silent for %v, and nothing was asked", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		out := ask(ctx, c, wire.OpGet, "x")
		m := p.request()
		<-out
		time.Sleep(2 * time.Second)
		if s := c.Silence(); s != 3*time.Second {
			t.Errorf("silent for %v, want 3s", s)
		}
		p.answer(m, "yes")
		synctest.Wait()
		if s := c.Silence(); s != 0 || time.Since(c.LastHeard()) != 0 {
			t.Errorf("silent for %v after the answer", s)
		}
	})
}

func TestRequestAgainstTheRules(t *testing.T) {
	c, _ := pair(t, ConnConfig{})
	_, err := c.Do(t.Context(), wire.UserOps, nil)
	want(t, err, ErrRequest, ErrNotSent)
	_, err = c.Do(t.Context(), wire.OpAdd, make([]byte, wire.MaxPayload+1))
	want(t, err, ErrRequest, ErrNotSent)
	if c.InFlight() != 0 || c.Err() != nil {
		t.Error("a bad request left something behind")
	}
}

func TestOwnClass(t *testing.T) {
	ours, theirs := net.Pipe()
	rules := wire.Rules{Response: true, Class: wire.ClassPeer, Ops: 9, MaxPayload: 1 << 20}
	c := NewConn(ours, ConnConfig{Rules: rules})
	defer c.Close()
	requests := rules
	requests.Response = false
	p := &peer{t: t, nc: theirs, r: wire.NewReader(theirs, requests)}
	go p.echo()
	b, err := c.Do(t.Context(), 8, make([]byte, 1<<20))
	if err != nil || len(b) != 1<<20 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	_ = theirs.Close()
}
