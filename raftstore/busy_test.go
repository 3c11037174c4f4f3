package raftstore

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/distcache/distcache/raftstore/internal/state"
)

// Who asks for what can't be done now can tell that another time may be better.
func TestCompactBusy(t *testing.T) {
	s := alone(t)
	_, r, err := s.node.Load().state.Stream() // as to another node
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Compact(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("while the file from before the last is sent: %v", err)
	}
	r.Close()
	if err := asBusy(fmt.Errorf("compact: %w", state.ErrBehind)); !errors.Is(err, ErrBusy) || !errors.Is(err, state.ErrBehind) {
		t.Errorf("while too much changes: %v", err)
	}
	other := errors.New("another")
	if err := asBusy(other); err != other {
		t.Errorf("%v has become %v", other, err)
	}
}

// The members are those that the node could ask.
func TestMembersOfEnded(t *testing.T) {
	s := alone(t)
	if list, err := s.Members(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Members(ctx); err != context.Canceled {
		t.Errorf("when its time is over: %v", err)
	}
	s.Close()
	if _, err := s.Members(t.Context()); err != ErrClosed {
		t.Errorf("of a closed store: %v", err)
	}
}
