package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/raftstore"
)

// aNode makes the data directory of a node that has stored a session, and returns the store that has it open.
func aNode(t *testing.T) (string, *raftstore.Store) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	s, err := raftstore.Open(raftstore.Config{Dir: dir, Name: "n1"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Add(ctx, []byte("id"), []byte("data"), time.Hour); err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func TestConvertLog(t *testing.T) {
	dir, s := aNode(t)
	got := fails(t, run(t.Context(), []string{"convert-log", "-data", dir, "-to", "wal"}, nil, io.Discard))
	want := "dc_admin: data directory is in use by another process: " + dir +
		"\nStop dc_server before you convert its log.\n"
	if got != want {
		t.Errorf("while it runs: %s", got)
	}
	s.Close()
	last, term := s.Status().LastIndex, s.Status().Term // the node has notes of its own written until it is closed

	for _, step := range []struct{ to, file, want string }{
		{"wal", "wal", "The log in DIR was of kind bolt and is now of kind wal.\nCopied and compared: LAST entries, 1 to " +
			"LAST, "},
		{"wal", "wal", "The log in DIR is of kind wal already.\n"},
		{"bolt", "raft.db", "The log in DIR was of kind wal and is now of kind bolt.\nCopied and compared: LAST entries, " +
			"1 to LAST, "},
	} {
		got := says(t, "-data", dir, "convert-log", "-to", step.to)
		want := strings.NewReplacer("DIR", dir, "LAST", fmt.Sprint(last)).Replace(step.want)
		if !strings.HasPrefix(got, want) {
			t.Errorf("to %s: got\n%s", step.to, got)
		}
		if end := fmt.Sprintf("; votes of term %d.\nStart dc_server with -raft-log %s.\n", term,
			step.to); strings.Contains(want, "Copied") && !strings.HasSuffix(got, end) {
			t.Errorf("to %s: got\n%s", step.to, got)
		}
		if _, err := os.Stat(filepath.Join(dir, step.file)); err != nil {
			t.Error(err)
		}
	}
}

func TestConvertLogNowhere(t *testing.T) {
	dir := t.TempDir()
	got := fails(t, run(t.Context(), []string{"convert-log", "-data", dir, "-to", "wal"}, nil, io.Discard))
	if want := "dc_admin: data directory does not fit: " + dir + " is no node's: it has no node.json\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestConvertLogOfNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "none")
	got := fails(t, run(t.Context(), []string{"convert-log", "-data", dir, "-to", "wal"}, nil, io.Discard))
	if want := "dc_admin: there is no directory " + dir + "\n-data names the node's data directory: the same as " +
		"dc_server's -data.\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestConvertLogJSON(t *testing.T) {
	dir, s := aNode(t)
	s.Close()
	for _, want := range []string{`"from": "bolt",` + "\n  " + `"to": "wal",`,
		`"from": "wal",` + "\n  " + `"to": "wal",` + "\n  " + `"entries": 0,`} {
		if got := says(t, "-data", dir, "convert-log", "-to", "wal", "-json"); !strings.Contains(got, `"ok": true`) ||
			!strings.Contains(got, want) {
			t.Errorf("got %s", got)
		}
	}
}

func TestConvertLogGivenUp(t *testing.T) {
	dir, s := aNode(t)
	s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := fails(t, run(ctx, []string{"convert-log", "-data", dir, "-to", "wal"}, nil, io.Discard))
	if want := "dc_admin: interrupted\nNothing is lost: the log is still of kind bolt.\n"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestConvertLogMistakes(t *testing.T) {
	mistakes(t, map[string]string{
		"convert-log":             "convert-log needs -to, the kind of log to convert to: bolt or wal",
		"convert-log wal":         `convert-log takes no operands, but was given "wal"`,
		"convert-log -to boltdb":  `-to takes bolt or wal, not "boltdb"`,
		"convert-log -to wal all": `convert-log takes no operands, but was given "all"`,
	})
}
