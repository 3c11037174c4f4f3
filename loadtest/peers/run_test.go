package main

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/distcache/distcache/internal/config"
)

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"-works add0":       "-works takes add or get",
		"-works put3":       `not "put3"`,
		"-works add+1":      `not "add+1"`,
		"-works add99999":   `not "add99999"`,
		"-only bolt,zookee": `not "zookee"`,
		"-rounds 0":         "-rounds takes a number above 0",
		"-size 0":           "-size takes a number above 0",
		"-size 40000":       "from 0 to 30000",
		"-sessions 0":       "-sessions takes a number above 0",
		"-duration 0s":      "-duration takes a duration above 0",
		"-format html":      "-format takes text or markdown",
		"more":              `unexpected argument "more"`,
	} {
		var out, errs bytes.Buffer
		err := run(t.Context(), strings.Fields(args), &out, &errs)
		var usage *config.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), want) || config.Exit(program, err, &errs) != 2 {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	o, set := newOptions()
	if _, err := set.Parse(nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := o.finish(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Trim(strings.ReplaceAll(fmt.Sprint(o.works), " ", ","), "[]"); got != defaultWorks {
		t.Errorf("works %s", got)
	}
	if n := len(o.wanted()); n != len(kinds) {
		t.Errorf("%d are measured", n)
	}
	if !o.reads() || len(o.adds()) != 3 {
		t.Errorf("reads %v, adds %v", o.reads(), o.adds())
	}
}

// Programs that are not installed are left out, with a message. A message also says when nothing is left to compare
// with.
func TestFindPrograms(t *testing.T) {
	for _, c := range []struct{ only, installed, want, said string }{
		{"", "etcd redis-server", "bolt wal etcd redis", ""},
		{"", "etcd", "bolt wal etcd", "redis-server"},
		{"", "redis-server", "bolt wal redis", "etcd-server"},
		{"", "", "", "etcd-server redis-server"},
		{"bolt,etcd", "redis-server", "", "etcd-server"},
		{"bolt,wal", "", "bolt wal", ""},
		{"redis,bolt", "etcd redis-server", "bolt redis", ""},
	} {
		o, _ := newOptions()
		o.only = config.Words(c.only)
		var said []string
		entrants := findPrograms(o.wanted(), func(name string) (string, error) {
			if slices.Contains(strings.Fields(c.installed), name) {
				return "/usr/bin/" + name, nil
			}
			return "", exec.ErrNotFound
		}, func(format string, args ...any) { said = append(said, fmt.Sprintf(format, args...)) })
		var names []string
		for _, e := range entrants {
			names = append(names, e.name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%q of %q: %q instead of %q", c.only, c.installed, got, c.want)
		}
		for i, p := range strings.Fields(c.said) {
			if i >= len(said) || !strings.Contains(said[i], "package "+p) {
				t.Errorf("%q of %q: said %q", c.only, c.installed, said)
			}
		}
		if len(said) != len(strings.Fields(c.said)) {
			t.Errorf("%q of %q: said %q", c.only, c.installed, said)
		}
	}
}

// It is no failure when there is nothing to compare with.
func TestSkipped(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out, errs bytes.Buffer
	err := run(t.Context(), nil, &out, &errs)
	if config.Exit(program, err, &errs) != 0 || !strings.HasPrefix(out.String(), "skipped: ") ||
		!strings.Contains(errs.String(), "package etcd-server") {
		t.Errorf("%v\n%s%s", err, out.String(), errs.String())
	}
}
