package raftstore

import (
	"errors"
	"strings"
	"testing"
)

// Whoever is refused hears which of the things that exclude each other is under way, and so does status.
func TestWhatIsUnderWay(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, what := range []string{doesCompact, doesJoin, doesLeave, ""} {
		if err := s.claim(what); err != nil {
			t.Fatal(err)
		}
		if got := s.Status().Doing; got != what {
			t.Errorf("status has %q for %q", got, what)
		}
		for name, err := range map[string]error{
			"join":  s.Join(t.Context(), []string{"127.0.0.1:1"}, false),
			"leave": s.Leave(t.Context()),
		} {
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), busy(what)) {
				t.Errorf("%s while it is %q: %v", name, what, err)
			}
		}
		if _, err := s.Compact(t.Context()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), what) {
			t.Errorf("compact while it is %q: %v", what, err)
		}
		s.unclaim()
	}
	if _, err := s.Compact(t.Context()); err != nil || s.Status().Doing != "" {
		t.Errorf("afterwards: %v, under way is %q", err, s.Status().Doing)
	}
}
