package raftstore

import "testing"

// TestTail has a log grow in steps, and holds what would be kept of it against what was asked for.
func TestTail(t *testing.T) {
	const step, bytes = 64, 300
	log := newTail(1000)
	last, grown := uint64(1000), int64(0)
	written := []mark{{last, grown}}
	for range 200 {
		last, grown = last+3, grown+17
		written = append(written, mark{last, grown})
		if !log.due(last, grown, step) {
			continue
		}
		from := log.keep(last, grown, bytes)
		for _, m := range written {
			if m.index != from {
				continue
			}
			kept := grown - m.grown
			if from > 1000 && (kept < bytes || kept > bytes+2*step) {
				t.Fatalf("%d bytes are kept, of %d wanted", kept, bytes)
			}
			if from == 1000 && grown > bytes+2*step {
				t.Fatalf("after %d bytes nothing has been trimmed", grown)
			}
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
		if from := log.keep(last, int64(last), 1<<40); last-from > 2*logEntries {
			t.Fatalf("%d entries are kept", last-from)
		}
		log.note(last, int64(last))
		taken++
	}
	if taken != 4 {
		t.Errorf("%d snapshots were due", taken)
	}
}
