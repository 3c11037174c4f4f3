package main

import (
	"testing"
)

func TestLeave(t *testing.T) {
	node := new(fakeNode)
	serve(t, node)
	if got := says(t, "leave"); got != "This node has left its cluster, and is stopping.\n" || node.asked != "leave" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
}

func TestLeaveMistakes(t *testing.T) {
	mistakes(t, map[string]string{"leave n1": `leave takes no operands, but was given "n1"`})
}
