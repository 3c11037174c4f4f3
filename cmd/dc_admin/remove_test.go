package main

import "testing"

func TestRemove(t *testing.T) {
	node := new(fakeNode)
	serve(t, node)
	if got := says(t, "remove", "n3"); got != "n3 is no longer in the cluster.\n" || node.asked != "remove n3" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
}

func TestRemoveMistakes(t *testing.T) {
	const want = `remove takes the name of one node, as "dc_admin members" shows it`
	mistakes(t, map[string]string{"remove": want, "remove n1 n2": want})
}
