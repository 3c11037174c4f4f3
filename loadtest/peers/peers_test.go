package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/internal/testutil"
)

// Each contestant that is installed, from end to end: every answer is right, every figure is there, and no files are
// left.
func TestEndToEnd(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			if _, err := exec.LookPath(k.program); !k.ours() && err != nil {
				t.Skipf("%s is not installed", k.program)
			}
			dir := testutil.ShortDir(t)
			var out, errs bytes.Buffer
			args := "-rounds 1 -duration 300ms -sessions 100 -works get1,get5,add1,add5" +
				" -only " + k.name + " -dir " + dir
			err := run(t.Context(), strings.Fields(args), &out, &errs)
			if err != nil {
				t.Fatalf("%v\n%s", err, errs.String())
			}
			for _, want := range []string{
				"get5: 5 callers", "add1: 1 caller,", "none: every answer was right", "round 1 of 1: " + k.name,
			} {
				if !strings.Contains(out.String()+errs.String(), want) {
					t.Errorf("%q is missing", want)
				}
			}
			for _, row := range figureRows(out.String(), k.name) {
				if runtime.GOOS == "linux" && row[1] != "0" && slices.Contains(row[:9], "-") {
					t.Errorf("a figure is missing: %s", row)
				}
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
			if t.Failed() {
				t.Logf("%s%s", out.String(), errs.String())
			}
		})
	}
}

// figureRows are a contestant's rows in the tables of works, with the rate first. The disk's figure may be missing: the
// file system of a container need not be on a disk.
func figureRows(report, name string) (rows [][]string) {
	for line := range strings.Lines(report) {
		if fields := strings.Fields(line); len(fields) >= 8 && fields[0] == name {
			rows = append(rows, fields)
		}
	}
	return rows
}

// An interruption ends the program with the right exit status, and leaves no files.
func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dir := testutil.ShortDir(t)
	var out bytes.Buffer
	errs := &cancelWriter{at: "get2", cancel: cancel}
	args := "-only bolt -works get2,add2 -duration 100ms -sessions 10 -rounds 1000 -dir " + dir
	err := run(ctx, strings.Fields(args), &out, errs)
	if status := config.Exit(program, err, &out); status != 130 {
		t.Errorf("status %d: %v\n%s", status, err, errs.String())
	}
	if !strings.Contains(out.String(), "get2: 2 callers") {
		t.Errorf("what was found is not told:\n%s", out.String())
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// A cancelWriter cancels when a certain word is written.
type cancelWriter struct {
	bytes.Buffer
	at     string
	cancel func()
}

func (w *cancelWriter) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(w.at)) {
		w.cancel()
	}
	return w.Buffer.Write(p)
}
