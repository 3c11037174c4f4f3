package main

import "testing"

func TestGrant(t *testing.T) {
	node := new(fakeNode)
	serve(t, node)
	if got := says(t, "grant", "n4"); got != "n4 may join, once, within an hour.\n" || node.asked != "grant n4" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	const want = "grant takes the name of the node that may join"
	mistakes(t, map[string]string{"grant": want, "grant n4 n5": want})
}
