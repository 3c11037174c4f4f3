package main

import "testing"

func TestTransfer(t *testing.T) {
	node := new(fakeNode)
	serve(t, node)
	if got := says(t, "transfer"); got != "Leadership is handed over.\n" || node.asked != `transfer ""` {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
	if got := says(t, "transfer", "n2"); got != "Leadership is handed to n2.\n" || node.asked != `transfer "n2"` {
		t.Errorf("said %q, asked to %s", got, node.asked)
	}
}

func TestTransferMistakes(t *testing.T) {
	mistakes(t, map[string]string{"transfer n1 n2": `transfer takes the name of at most one node, as "dc_admin members" shows it`})
}
