package raftstore

import (
	"testing"

	"github.com/distcache/distcache/raftstore/internal/entry"
	"github.com/distcache/distcache/wire"
)

// full puts large operations in line until one is turned away, and gives the places of the others.
func full(t *testing.T, b *batcher, data []byte) (places []*queued) {
	t.Helper()
	for range maxWaitingOps + 1 {
		turnedAway := false
		p := b.submit(&entry.Op{Kind: entry.Add, ID: []byte("large"), Data: data}, waiterFunc(func(_ wire.Status, err error) {
			turnedAway = err == errRetry
		}))
		if (p == nil) != turnedAway {
			t.Fatalf("the place is %v, turned away: %v", p, turnedAway)
		}
		if turnedAway {
			return places
		}
		places = append(places, p)
	}
	t.Fatal("nothing is turned away")
	return nil
}

// The line is bounded in bytes too: with large sessions it would be many gigabytes else. Whoever leaves makes room.
func TestLineIsBoundedInBytes(t *testing.T) {
	b := &batcher{limit: 1, kick: make(chan struct{}, 1), full: make([]*batch, maxQueued)}
	b.open()
	b.cur.waiters = make([]waiter, 1) // no batch has room
	data := make([]byte, 32<<10)      // the same for all of them: the test is to need none of that memory
	places := full(t, b, data)
	if held := len(places) * len(data); held > maxWaitingBytes || held < maxWaitingBytes-maxWaitingBytes/64 {
		t.Errorf("%d operations of %d bytes are in line, want those of %d bytes", len(places), len(data), maxWaitingBytes)
	}
	small := func() bool {
		return b.submit(removal("one that is small"), waiterFunc(func(wire.Status, error) {})) != nil
	}
	for b.queue.Len() < maxWaitingOps && small() {
	}
	for _, p := range places[:len(places)/2] {
		if !b.withdraw(p) {
			t.Fatal("an operation in line can't be taken back")
		}
	}
	if again := full(t, b, data); len(again) < len(places)/2 || len(again) > len(places)/2+1 {
		t.Errorf("%d of %d were taken back, and %d found room", len(places)/2, len(places), len(again))
	}
	for p := b.queue.first(); p != nil; p = b.queue.first() {
		b.queue.leave(p)
	}
	if b.queue.bytes != 0 {
		t.Errorf("an empty line has %d bytes", b.queue.bytes)
	}
}
