package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/config"
)

// A log of the other kind is refused with a sentence that says what to do.
func TestOtherKindOfLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	args := []string{"-listen", "IP:127.0.0.1:0", "-data", dir}
	start(t, append(args, "-raft-log", "wal")...).Stop()
	if fi, err := os.Stat(filepath.Join(dir, "wal")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", fi, err)
	}
	err := run(t.Context(), args, io.Discard, io.Discard)
	if err == nil {
		t.Fatal("it was taken")
	}
	var said strings.Builder
	if code := config.Exit(program, err, &said); code != 3 {
		t.Errorf("exit status %d", code)
	}
	want := "dc_server: data directory does not fit: the raft log in " + dir + " is of kind wal, not bolt: start " +
		"with -raft-log wal, or convert the log with dc_admin convert-log -data " + dir + " -to bolt\n"
	if said.String() != want {
		t.Errorf("got  %s\nwant %s", &said, want)
	}
}
