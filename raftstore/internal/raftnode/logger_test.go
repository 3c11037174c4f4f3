package raftnode

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Failed pre-votes, which repeat as long as there is no majority, are logged at DEBUG: the Store logs what operators
// need to know.
func TestPreVotesAreForDebugging(t *testing.T) {
	var out bytes.Buffer
	log := Logger(slog.New(slog.NewTextHandler(&out, nil)))
	log.Info("pre-vote campaign failed, waiting for election timeout", "term", 3)
	log.Warn("no known peers, aborting election")
	log.Warn("rejecting pre-vote request since we have a leader", "from", "127.0.0.1:1")
	log.Warn("rejecting pre-vote request since our last term is greater", "candidate", "127.0.0.1:1")
	log.Warn("rejecting pre-vote request since our last index is greater", "candidate", "127.0.0.1:1")
	if out.Len() > 0 {
		t.Errorf("logged:\n%s", &out)
	}
	log.Warn("rejecting pre-vote request since node is not in configuration", "from", "127.0.0.1:1")
	if out.Len() == 0 {
		t.Error("that a stranger asks is not logged")
	}
}

// Of two equal keys in a JSON object most readers keep only the last.
func TestRaftLinesHaveEachKeyOnce(t *testing.T) {
	var out bytes.Buffer
	log := Logger(slog.New(slog.NewJSONHandler(&out, nil)))
	log.Warn("rejecting vote request since we have a leader", "from", "127.0.0.1:1", "leader", "127.0.0.1:2")
	log.Warn("failed to contact", "server-id", "n2", "time", "1s")
	for line := range strings.Lines(out.String()) {
		for _, key := range []string{`"from":`, `"time":`} {
			if n := strings.Count(line, key); n != 1 {
				t.Errorf("%s is there %d times: %s", key, n, line)
			}
		}
		if !strings.Contains(line, `"from":"raft"`) {
			t.Errorf("not said to be Raft's: %s", line)
		}
	}
	for _, want := range []string{
		`"raft-from":"127.0.0.1:1","leader":"127.0.0.1:2"`,
		`"server-id":"n2","raft-time":"1s"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("without %s: %s", want, &out)
		}
	}
}
