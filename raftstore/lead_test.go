package raftstore

import (
	"testing"
)

// Who was about to note a term when another began does not undo that.
func TestOlderTermDoesNotServe(t *testing.T) {
	n := new(node)
	n.serve(7)
	n.serve(5)
	if got := n.serving.Load(); got != 7 {
		t.Errorf("it serves in term %d", got)
	}
}
