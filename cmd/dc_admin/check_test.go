package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/admin"
	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

// checked is what check prints, and its exit status; on stderr is nothing.
func checked(t *testing.T, args ...string) (out string, status int) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), append([]string{"check"}, args...), &stdout, &stderr)
	status = config.Exit(program, err, &stderr)
	if stderr.Len() > 0 {
		t.Errorf("%q: on stderr: %s", args, &stderr)
	}
	return stdout.String(), status
}

// well is a cluster in which all is well, as n2 sees it.
func well() *fakeNode {
	f := &fakeNode{status: aFollower}
	for i, name := range []string{"n1", "n2", "n3"} {
		m := raftstore.Member{Name: name, Voter: true, Role: raftstore.RoleFollower, Lag: uint64(i)}
		m.Process = aFollower.Process
		if name == aFollower.Leader {
			m.Role = raftstore.RoleLeader
		}
		f.members = append(f.members, m)
	}
	return f
}

func TestCheck(t *testing.T) {
	for name, try := range map[string]struct {
		spoil func(f *fakeNode)
		want  []string
	}{
		"well": {func(*fakeNode) {}, nil},
		"some entries on the way": {func(f *fakeNode) {
			f.members[2].Lag = mostLag
		}, nil},
		"another uptime": {func(f *fakeNode) {
			f.members[2].Uptime = 1
		}, nil},
		"not ready": {func(f *fakeNode) {
			f.notReady = "a read was not answered"
		}, []string{"n2: not ready: a read was not answered"}},
		"a clock": {func(f *fakeNode) {
			f.status.Clocks = "n3 is 1h0m0s ahead"
		}, []string{"clocks: n3 is 1h0m0s ahead"}},
		"lag": {func(f *fakeNode) {
			f.members[2].Lag = mostLag + 1
		}, []string{"n3: 10001 log entries behind"}},
		"another version": {func(f *fakeNode) {
			f.members[0].Version = "1.2.2"
		}, []string{"n1: its version is 1.2.2, and that of n2 1.2.3-4-gabcdef0"}},
		"one that tells none": {func(f *fakeNode) {
			f.members[0].Process = raftstore.Process{}
		}, []string{"n1: its version is unknown, and that of n2 1.2.3-4-gabcdef0"}},
		"another seal key": {func(f *fakeNode) {
			f.members[0].SealedBy = "00:11"
		}, []string{"n1: its seal key is not that of n2: what one seals, the other can't open"}},
		"no certificates": {func(f *fakeNode) {
			f.members[2].Insecure = true
		}, []string{"n3: its peer port is without certificates: whoever reaches it can read and change every session"}},
		"a certificate that expires": {func(f *fakeNode) {
			soon := time.Now().Add(73 * time.Hour)
			f.members[2].Certificate, f.members[2].Expires = "distcache://c/node/n3", &soon
		}, []string{"n3: its certificate is valid for 3 more days"}},
		"one without a leader": {func(f *fakeNode) {
			f.members[2].Role = raftstore.RoleCandidate
		}, []string{"n3: it has no leader"}},
		"one that joins": {func(f *fakeNode) {
			f.members[2].Role, f.members[2].Voter = raftstore.RoleJoining, false
		}, []string{"n3: it is joining, not a voter"}},
		"one that was not let in": {func(f *fakeNode) {
			f.members[2].Voter = false
		}, []string{"n3: it does not vote"}},
		"what a node says is kept": {func(f *fakeNode) {
			f.members[0].Version = "\x1b[31m\n"
		}, []string{"n1: its version is \ufffd[31m; , and that of n2 1.2.3-4-gabcdef0"}},
		"it can't tell": {func(f *fakeNode) {
			f.err = raftstore.ErrRemoved
		}, []string{raftstore.ErrRemoved.Error()}},
		"no leader": {func(f *fakeNode) {
			f.status.Role, f.status.Leader = raftstore.RoleCandidate, ""
			f.notReady = "no leader: this node is candidate"
			f.members[0].Role, f.members[0].Error = raftstore.RoleUnreachable, "connection refused"
			f.members[2].Role, f.members[2].Error = raftstore.RoleUnreachable, "no answer\nin time"
			f.members[1].Role = raftstore.RoleCandidate
		}, []string{
			"no leader: 1 of 3 voters answers (n2), and it takes 2; no answer from n1, n3",
			"n2: not ready: no leader: this node is candidate",
			"n1: no answer from it, a voter: connection refused",
			"n3: no answer from it, a voter: no answer; in time",
		}},
		"all of one": {func(f *fakeNode) {
			f.members[2] = raftstore.Member{Name: "n3", Role: raftstore.RoleStopped, Lag: mostLag + 1}
		}, []string{
			"n3: it is stopped, not a voter",
			"n3: 10001 log entries behind",
			"n3: its version is unknown, and that of n2 1.2.3-4-gabcdef0",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			f := well()
			try.spoil(f)
			serve(t, f)
			out, status := checked(t)
			var lines []string
			if out != "" {
				lines = strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			}
			if !slices.Equal(lines, try.want) || (status == 0) != (try.want == nil) || status > 1 {
				t.Errorf("exit status %d, got\n%s\nwant\n%s", status, out, strings.Join(try.want, "\n"))
			}
			out, again := checked(t, "-json")
			var got struct {
				OK       *bool
				Problems []problem
			}
			err := json.Unmarshal([]byte(out), &got)
			if err != nil || got.OK == nil || *got.OK != (status == 0) || again != status ||
				got.Problems == nil || len(got.Problems) != len(lines) {
				t.Errorf("exit status %d, %v, got %s", again, err, out)
			}
		})
	}
}

// A node in memory has no cluster.
func TestCheckMemory(t *testing.T) {
	serve(t, admin.Memory{Name: "n1", Sessions: func() int { return 0 }})
	if out, status := checked(t); out != "" || status != 0 {
		t.Errorf("exit status %d, got %s", status, out)
	}
}

// An election may take a moment.
func TestCheckWaitsForAnElection(t *testing.T) {
	f := well()
	e := &electing{fakeNode: *f, next: "n3", done: true, left: 3}
	e.status.Role = raftstore.RoleCandidate
	serve(t, e)
	if out, status := checked(t); out != "" || status != 0 {
		t.Errorf("exit status %d, got %s", status, out)
	}
}

// That there is no node is a line like others, also for scripts.
func TestCheckWithoutANode(t *testing.T) {
	t.Setenv("DC_ADMIN_CONNECT", "UNIX:/nobody/listens")
	const want = "cannot connect: dial unix /nobody/listens: connect: no such file or directory"
	if out, status := checked(t); out != want+"\n" || status != 1 {
		t.Errorf("exit status %d, got %s", status, out)
	}
	out, status := checked(t, "-json")
	var got struct {
		OK       bool
		Problems []problem
	}
	err := json.Unmarshal([]byte(out), &got)
	if err != nil || got.OK || !reflect.DeepEqual(got.Problems, []problem{{"", failed, want}}) || status != 1 {
		t.Errorf("exit status %d, %v, got %s", status, err, out)
	}
}

func TestCheckInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	serve(t, well())
	if got := fails(t, run(ctx, []string{"check"}, io.Discard, io.Discard)); got != "dc_admin: interrupted\n" {
		t.Errorf("got %s", got)
	}
}
