package peernet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/distcache/distcache/wire"
)

// slowWriter completes one write at a time, when the test lets it.
type slowWriter struct {
	let   chan struct{}
	began chan struct{}
	mu    sync.Mutex
	got   bytes.Buffer
	fail  error
	shut  bool

	before int // how often a deadline was set; the Writer's
}

func (w *slowWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.shut = true
	return nil
}

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

func (*buffer) SetWriteDeadline(time.Time) error { return nil }

func (w *slowWriter) SetWriteDeadline(time.Time) error {
	w.before++
	return nil
}

func (w *slowWriter) Write(p []byte) (int, error) {
	w.began <- struct{}{}
	<-w.let
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fail != nil {
		return 0, w.fail
	}
	return w.got.Write(p)
}

// idle waits until nothing is being written.
func (w *Writer) idle() {
	for {
		w.mu.Lock()
		writing := w.out.Busy()
		w.mu.Unlock()
		if !writing {
			return
		}
		runtime.Gosched()
	}
}

func message(uid uint32, payload string) *wire.Message {
	return &wire.Message{Response: true, UID: uid, Class: wire.ClassPeer, Payload: []byte(payload)}
}

var rules = wire.Rules{Response: true, Class: wire.ClassPeer, Ops: 1, MaxPayload: wire.MaxPayload}

func TestWriterKeepsOrder(t *testing.T) {
	w := &slowWriter{let: make(chan struct{}), began: make(chan struct{}, 100)}
	out := NewWriter(w, time.Minute)
	if err := out.Queue(message(0, strings.Repeat("a", 5000))); err != nil {
		t.Fatal(err)
	}
	<-w.began
	const n = 100
	for i := range uint32(n) {
		// The caller may reuse the message as soon as Send returns.
		m := message(i+1, fmt.Sprint("payload ", i+1))
		if err := out.Send(m); err != nil {
			t.Fatal(err)
		}
		clear(m.Payload)
	}
	close(w.let)
	out.idle()
	if w.before != 3 { // and none when all is written
		t.Errorf("%d deadlines, want 3", w.before)
	}
	r := wire.NewReader(&w.got, rules)
	var m wire.Message
	for i := range uint32(n + 1) {
		if err := r.Read(&m); err != nil || m.UID != i || i > 0 && string(m.Payload) != fmt.Sprint("payload ", i) {
			t.Fatalf("message %d is %d, %d bytes, %v", i, m.UID, len(m.Payload), err)
		}
	}
	if err := r.Read(&m); err != io.EOF {
		t.Errorf("after the last: %v", err)
	}
}

func TestWriterFromManyGoroutines(t *testing.T) {
	var got buffer
	out := NewWriter(&got, time.Minute)
	var wg sync.WaitGroup
	const writers, each = 8, 200
	for i := range writers {
		wg.Go(func() {
			for j := range each {
				if err := out.Send(message(uint32(i*each+j), fmt.Sprint(j))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	out.idle()
	r := wire.NewReader(&got, rules)
	next := make([]int, writers)
	var m wire.Message
	for range writers * each {
		if err := r.Read(&m); err != nil {
			t.Fatal(err)
		}
		i, j := int(m.UID)/each, int(m.UID)%each
		if j != next[i] {
			t.Fatalf("writer %d: message %d, want %d", i, j, next[i])
		}
		next[i]++
	}
}

// The first error is final.
func TestWriterFails(t *testing.T) {
	w := &slowWriter{let: make(chan struct{}, 10), began: make(chan struct{}, 10), fail: errors.New("broken")}
	out := NewWriter(w, time.Minute)
	w.let <- struct{}{}
	if err := out.Send(message(0, "x")); err != w.fail {
		t.Fatal(err)
	}
	for range 3 {
		if err := out.Send(message(1, "x")); err != w.fail {
			t.Errorf("got %v", err)
		}
	}
	if len(w.began) != 1 || !w.shut {
		t.Errorf("%d writes to a broken connection; closed %v", len(w.began), w.shut)
	}
}

// A peer that does not read its answers must not make this node keep them all.
func TestWriterIsBounded(t *testing.T) {
	w := &slowWriter{let: make(chan struct{}), began: make(chan struct{}, 10)}
	out := NewWriter(w, time.Minute)
	const limit = 200_000
	out.limit = limit
	if err := out.Queue(message(0, "x")); err != nil {
		t.Fatal(err)
	}
	<-w.began
	big := message(1, strings.Repeat("a", 30000))
	kept := 0
	for out.Send(big) == nil {
		if kept += 30000; kept > 2*limit {
			t.Fatalf("%d bytes are kept", kept)
		}
	}
	if kept < limit/2 {
		t.Errorf("turned away after %d bytes", kept)
	}
	if err := out.Send(message(2, "x")); !errors.Is(err, ErrSlowPeer) {
		t.Errorf("after that: %v", err)
	}
	close(w.let)
	out.idle()
	if !w.shut {
		t.Error("the connection is still open")
	}
}
