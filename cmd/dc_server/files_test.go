package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A node does not start on files that are damaged, or not its own, and says what is wrong with them.
func TestBadFiles(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := single(t, ctx, "n1")
	c := connect(t, s)
	for i := range 50 {
		if err := c.Add(ctx, fmt.Append(nil, "id", i), bytes.Repeat([]byte("secret"), 100), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	whole := s.Dir + ".whole"
	if err := os.Rename(s.Dir, whole); err != nil {
		t.Fatal(err)
	}
	file := func(name string, change func([]byte) []byte) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, change(b), 0o600)
		}
	}
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }
	zero := func(b []byte) []byte { return make([]byte, len(b)) }
	text := func([]byte) []byte { return []byte("hello") }
	changed := func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("secretsecret"), []byte("secretsecreT")) }
	swap := func(to, from string) func(string) error {
		return func(dir string) error {
			b, err := os.ReadFile(filepath.Join(dir, from))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, to), b, 0o600)
		}
	}
	for name, x := range map[string]struct {
		damage  func(dir string) error
		says    string
		foreign bool // the directory is none to go on with
	}{
		"state cut short":       {file("state.db", cut(5000)), "state.db: file is damaged", false},
		"state of one byte":     {file("state.db", cut(1)), "state.db: file is damaged", false},
		"state zeroed":          {file("state.db", zero), "state.db: file is damaged", false},
		"state of another kind": {swap("state.db", "raft.db"), "not a distcache state file", false},
		"log cut short":         {file("raft.db", cut(5000)), "raft.db: file is damaged", false},
		"log zeroed":            {file("raft.db", zero), "raft.db: file is damaged", false},
		"sessions changed":      {file("state.db", changed), "a session's record is not as it was written", false},
		"log entries changed":   {file("raft.db", changed), "is not as it was written", false},
		"log emptied":           {file("raft.db", cut(0)), "its votes are lost", true},
		"log missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "raft.db")) },
			"its votes are lost", true},
		"identity cut short": {file("node.json", cut(30)), "node.json is not readable", true},
		"identity emptied":   {file("node.json", cut(0)), "node.json is not readable", true},
		"identity of text":   {file("node.json", text), "node.json is not readable", true},
		"identity missing": {func(dir string) error { return os.Remove(filepath.Join(dir, "node.json")) },
			"no node.json", true},
		"identity in no phase": {file("node.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"member"`), []byte(`"guest"`), 1)
		}), "node.json is not readable", true},
		"another node's": {file("node.json", func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"n1"`), []byte(`"n2"`), 1)
		}), "belongs to node n2", true},
		"snapshots is a file": {func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "snapshots")),
				os.WriteFile(filepath.Join(dir, "snapshots"), nil, 0o600))
		}, "snapshots", false},
	} {
		if err := errors.Join(os.RemoveAll(s.Dir), os.CopyFS(s.Dir, os.DirFS(whole)), x.damage(s.Dir)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
		status := 1
		if x.foreign {
			status = 3
		}
		died(t, ctx, s, status, x.says)
		if strings.Contains(s.Log(), "secretsecret") {
			t.Errorf("%s: session data in the log", name)
		}
	}
}
