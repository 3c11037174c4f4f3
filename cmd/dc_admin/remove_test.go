package main

import (
	"io"
	"testing"
)

func TestRemove(t *testing.T) {
	node := new(fakeNode)
	serve(t, node)
	if got := says(t, "remove", "n3"); got != "n3 is no longer in the cluster.\n" || node.asked != "remove n3" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
}

// A node that answers is left where it is, unless -force is given.
func TestRemoveOfANodeThatAnswers(t *testing.T) {
	node := &fakeNode{members: threeMembers}
	serve(t, node)
	got := fails(t, run(t.Context(), []string{"remove", "n3"}, io.Discard, io.Discard))
	want := "dc_admin: n3 answers, and is follower\n" +
		"Say \"dc_admin leave\" to n3 itself. -force removes it all the same.\n"
	if got != want || node.asked != "" {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	for _, args := range [][]string{{"remove", "n2"}, {"remove", "n3", "-force"}} {
		got, want := says(t, args...), args[1]+" is no longer in the cluster.\n"
		if got != want || node.asked != "remove "+args[1] {
			t.Errorf("%q: said %q, asked to %s", args, got, node.asked)
		}
	}
}

func TestRemoveMistakes(t *testing.T) {
	const want = `remove takes the name of one node, as "dc_admin members" shows it`
	mistakes(t, map[string]string{"remove": want, "remove n1 n2": want})
}
