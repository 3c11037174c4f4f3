package raftstore_test

import (
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// The file of a bolt log keeps its size while the node serves. It is smaller after the next start, if most of it is
// free.
func TestLogIsCompactedAtTheStart(t *testing.T) {
	t.Parallel()
	cfg := raftstore.Config{Dir: t.TempDir(), Name: "n1"}
	s, err := raftstore.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx := ctxFor(t, patience)
	for i := range 200 {
		if err := s.Add(ctx, id(i), make([]byte, 30<<10), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.KeepOfLog(1); err != nil {
		t.Fatal(err)
	}
	done, err := s.Compact(ctx)
	if err != nil || done.LogFree < 3<<20 || done.LogAfter < done.LogBefore {
		t.Errorf("compacted to %+v, %v", done, err)
	}
	full := s.Status()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = raftstore.Open(cfg); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if st := s.Status(); full.LogFree != done.LogFree || st.LogFree != 0 || st.LogSize >= full.LogSize {
		t.Errorf("a log of %d bytes, %d of them free, has become one of %d, %d free",
			full.LogSize, full.LogFree, st.LogSize, st.LogFree)
	}
	if b, err := s.Get(ctx, id(199)); err != nil || len(b) != 30<<10 {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}
