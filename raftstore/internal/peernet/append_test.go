package peernet

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// answered is the future of a request that another node has answered.
type answered struct{ req *raft.AppendEntriesRequest }

func (answered) Error() error                          { return nil }
func (answered) Start() time.Time                      { return time.Time{} }
func (a answered) Request() *raft.AppendEntriesRequest { return a.req }
func (answered) Response() *raft.AppendEntriesResponse { return new(raft.AppendEntriesResponse) }

// A full pipeline accepts no entries until it is closed.
type full struct {
	answers chan raft.AppendFuture
	closed  chan struct{}
}

func (f full) AppendEntries(*raft.AppendEntriesRequest, *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	<-f.closed
	return nil, raft.ErrPipelineShutdown
}

func (f full) Consumer() <-chan raft.AppendFuture { return f.answers }

func (f full) Close() error {
	close(f.closed)
	return nil
}

// When this node's disk has failed, no more answers are counted. A sender that waits for room in the pipeline must not
// wait for ever, or Raft could not be stopped.
func TestDiskFailsBehindThePipeline(t *testing.T) {
	f := full{make(chan raft.AppendFuture, 1), make(chan struct{})}
	f.answers <- answered{&raft.AppendEntriesRequest{Entries: []*raft.Log{{Index: 5}}}}
	p := newPipeline(f, func(f raft.AppendFuture) error {
		req := f.Request()
		if len(req.Entries) != 1 || req.Entries[0].Index != 5 {
			t.Errorf("asked for %v", req.Entries)
		}
		return errors.New("the disk has failed")
	})
	_, err := p.AppendEntries(new(raft.AppendEntriesRequest), new(raft.AppendEntriesResponse))
	if err != raft.ErrPipelineShutdown {
		t.Error(err)
	}
	select {
	case <-p.Consumer():
		t.Error("an answer was counted for which this node has nothing on disk")
	default:
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
