package raftstore_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/raftstore"
)

func TestCheckDir(t *testing.T) {
	for name, test := range map[string]struct {
		files []string
		want  string // empty: it will do
	}{
		"empty":             {nil, ""},
		"a user's home":     {[]string{".profile", ".cache"}, ""},
		"a file system":     {[]string{"lost+found"}, ""},
		"stopped early":     {[]string{"lock"}, ""},
		"killed early":      {[]string{"lock", "node.json.new"}, ""},
		"alike":             {[]string{"walnuts"}, "it has walnuts, and no node.json"},
		"a node's":          {[]string{"node.json", "notes", "raft.db"}, ""},
		"a node's, in part": {[]string{"state.db"}, ""}, // Open says what is wrong
		"documents":         {[]string{"a.md", "b.md"}, "is no node's: it has a.md, b.md, and no node.json"},
		"many":              {[]string{"a", "b", "c", "d", "e"}, "it has a, b, c, …, and no node.json"},
		"among ours":        {[]string{"lock", "x"}, "it has x, and no node.json"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, file := range test.files {
				if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			check(t, raftstore.CheckDir(dir), test.want)
		})
	}
	check(t, raftstore.CheckDir(filepath.Join(t.TempDir(), "none")), "")
}

func check(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && (!errors.Is(err, raftstore.ErrForeign) || !strings.Contains(err.Error(), want)):
		t.Errorf("got %v, want %s", err, want)
	}
}

// What the process that is about to start has made there already is no stranger's.
func TestCheckDirKnowsTheCallersFiles(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "clients.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	info, err := log.Stat()
	if err != nil {
		t.Fatal(err)
	}
	check(t, raftstore.CheckDir(dir), "it has log, and no node.json")
	check(t, raftstore.CheckDir(dir, info), "")
}
