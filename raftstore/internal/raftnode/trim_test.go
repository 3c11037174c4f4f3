package raftnode

import (
	"testing"
)

// TestTail lets a log grow in steps, and compares what would be kept of it with what was asked for.
func TestTail(t *testing.T) {
	const step, bytes = 64, 300
	log := newTail(1000)
	last, grown := uint64(1000), int64(0)
	at := map[uint64]int64{last: grown}
	for range 200 {
		last, grown = last+3, grown+17
		at[last] = grown
		if !log.due(last, grown, step) {
			continue
		}
		switch behind := log.keep(last, grown, bytes); {
		case behind == 0 && grown >= bytes:
			t.Fatalf("after %d bytes nothing would be trimmed", grown)
		case behind == 0:
		case grown-at[behind] < bytes || grown-at[behind] > bytes+2*step:
			t.Fatalf("%d bytes are kept, of %d wanted", grown-at[behind], bytes)
		}
		log.note(last, grown)
	}
	if len(*log) > bytes/step+2 {
		t.Errorf("%d marks are remembered", len(*log))
	}
}

// TestTailOfSmallEntries: entries are counted too.
func TestTailOfSmallEntries(t *testing.T) {
	log, taken := newTail(0), 0
	for last := uint64(1); last < 5*logEntries; last++ {
		if !log.due(last, int64(last), 1<<40) {
			continue
		}
		if behind := log.keep(last, int64(last), 1<<40); last-behind > 2*logEntries {
			t.Fatalf("%d entries are kept", last-behind)
		}
		log.note(last, int64(last))
		taken++
	}
	if taken != 4 {
		t.Errorf("%d snapshots were due", taken)
	}
}
