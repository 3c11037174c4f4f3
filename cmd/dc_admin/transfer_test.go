package main

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/raftstore"
)

func TestTransfer(t *testing.T) {
	node := &electing{fakeNode: fakeNode{status: aFollower}, next: "n3"}
	serve(t, node)
	if got := says(t, "transfer"); got != "Leadership is handed over to n3.\n" || node.asked != `transfer ""` {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	if got := says(t, "transfer", "n2"); got != "Leadership is handed over to n2.\n" || node.asked != `transfer "n2"` {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	serve(t, &fakeNode{status: aFollower})
	if got := says(t, "transfer", "n1"); got != "n1 leads already.\n" {
		t.Errorf("said %q", got)
	}
}

// Scripts are told who leads then, too.
func TestTransferJSON(t *testing.T) {
	for _, try := range []struct {
		node admin.Node
		args string
		want string
	}{
		{&electing{fakeNode: fakeNode{status: aFollower}, next: "n3"}, "", "n3"},
		{&electing{fakeNode: fakeNode{status: aFollower}, next: "n2"}, "n2", "n2"},
		{&fakeNode{status: aFollower}, "n1", "n1"},
	} {
		serve(t, try.node)
		var got struct {
			OK     bool
			Leader string
		}
		out := says(t, append([]string{"-json", "transfer"}, strings.Fields(try.args)...)...)
		if err := json.Unmarshal([]byte(out), &got); err != nil || !got.OK || got.Leader != try.want {
			t.Errorf("%q: said %s, %v", try.args, out, err)
		}
	}
}

// electing is a node that knows of no leader for a moment after a transfer, and then of the next one.
type electing struct {
	fakeNode
	next string
	mu   sync.Mutex
	left int // how many times it still knows of none
	done bool
}

func (e *electing) Transfer(ctx context.Context, name string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.done, e.left = true, 2
	return e.fakeNode.Transfer(ctx, name)
}

func (e *electing) Status() raftstore.Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.status
	switch {
	case e.done && e.left > 0:
		e.left--
		s.Leader = ""
	case e.done:
		s.Leader = e.next
	}
	return s
}

func TestTransferMistakes(t *testing.T) {
	mistakes(t, map[string]string{"transfer n1 " +
		"n2": `transfer takes the name of at most one node, as "dc_admin members" shows it`})
}
