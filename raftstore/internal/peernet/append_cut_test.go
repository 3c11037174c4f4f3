package peernet

import (
	"testing"

	"github.com/hashicorp/raft"
)

// A request is sent without the entries that receivers would not take with the rest.
func TestCut(t *testing.T) {
	for _, c := range []struct{ sizes, want []int }{
		{[]int{1, 2, 3}, []int{1, 2, 3}},
		{[]int{sendBytes + 1, 1}, []int{sendBytes + 1}},
		{[]int{sendBytes - 1, 1, 1}, []int{sendBytes - 1, 1}},
		{nil, nil},
	} {
		var req raft.AppendEntriesRequest
		for _, n := range c.sizes {
			req.Entries = append(req.Entries, &raft.Log{Data: make([]byte, n)})
		}
		cut(&req)
		if len(req.Entries) != len(c.want) {
			t.Errorf("of %v, %d are sent, want %d", c.sizes, len(req.Entries), len(c.want))
		}
	}
}
