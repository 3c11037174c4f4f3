package main

import (
	"context"
	"io"
	"testing"

	"github.com/distcache/distcache/wire"
)

// A stuck is an output that nobody reads, as a pipe to a pager that waits for its user.
type stuck struct{ asked, free chan struct{} }

func (s stuck) Write(b []byte) (int, error) {
	s.asked <- struct{}{}
	<-s.free
	return len(b), nil
}

func TestStopsWhileOutputIsStuck(t *testing.T) {
	out := stuck{make(chan struct{}, 1), make(chan struct{})}
	t.Cleanup(func() { close(out.free) })
	p := started(t, func(ctx context.Context, _, stderr io.Writer) error {
		return run(ctx, []string{"-memory", "-listen", "IP:127.0.0.1:0", "-progress", "1", "-log-format", "json"}, out,
			stderr)
	})
	wantAnswer(t, p.dial(), wire.OpHave, []byte("id"), "\x01")
	<-out.asked
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}
