package main

import (
	"io"
	"testing"
)

func TestJoin(t *testing.T) {
	for _, test := range []struct {
		args  []string
		asked string
		says  string
	}{
		{[]string{"join", "a:1"}, "join [a:1] discard=false", "This node has joined the cluster of a:1.\n"},
		{[]string{"join", "a:1,b:2", "c:3", "-discard"}, "join [a:1 b:2 c:3] discard=true",
			"This node has joined the cluster of a:1, b:2, c:3.\n"},
		{[]string{"-discard", "join", "[::1]:1", "-json"}, "join [[::1]:1] discard=true", "{\n  \"ok\": true\n}\n"},
	} {
		node := new(fakeNode)
		serve(t, node)
		if got := says(t, test.args...); got != test.says {
			t.Errorf("%q: got %q", test.args, got)
		}
		if node.asked != test.asked {
			t.Errorf("%q: asked to %s", test.args, node.asked)
		}
	}
}

type ownSessions struct{}

func (ownSessions) Error() string { return "this node has 3 sessions of its own" }
func (ownSessions) Hint() string  { return "With -discard it gives them up." }

func TestJoinRefused(t *testing.T) {
	serve(t, &fakeNode{err: ownSessions{}})
	want := "dc_admin: this node has 3 sessions of its own\nWith -discard it gives them up.\n"
	if got := fails(t, run(t.Context(), []string{"join", "a:1"}, nil, io.Discard)); got != want {
		t.Errorf("got %s", got)
	}
}

func TestJoinMistakes(t *testing.T) {
	mistakes(t, map[string]string{
		"join":                  "join takes the HOST:PORT of one or more peers of the cluster, such as 10.0.0.1:7001",
		"join a:1,b":            `join takes the peers' HOST:PORT: "b": missing port in address`,
		"join :1":               `join takes the peers' HOST:PORT: ":1" names no host`,
		"join IP:127.0.0.1:700": `join takes the peers' HOST:PORT: "IP:127.0.0.1:700": too many colons in address`,
	})
}
