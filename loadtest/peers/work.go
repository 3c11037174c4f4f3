package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
)

// maxCallers bounds the callers of a work: more callers would measure themselves.
const maxCallers = 10_000

// A work is one operation, done by a number of callers at the same time.
type work struct {
	op      operation
	callers int
}

type operation string

const (
	opAdd operation = "add"
	opGet operation = "get"
)

// defaultWorks are the works of a run that is given none. Reads come first: they read what was preloaded.
const defaultWorks = "get1,get64,get256,add1,add64,add256"

// parseWork reads a work's name, such as add64.
func parseWork(name string) (work, error) {
	for _, op := range []operation{opAdd, opGet} {
		digits, found := strings.CutPrefix(name, string(op))
		if !found {
			continue
		}
		if n, err := strconv.Atoi(digits); err == nil && n >= 1 && n <= maxCallers && digits[0] != '+' {
			return work{op, n}, nil
		}
	}
	return work{}, fmt.Errorf("not %q", name)
}

// The mixes of works: each has one operation.
var (
	addMix = loadtest.Mix{wire.OpAdd: 1}
	getMix = loadtest.Mix{wire.OpGet: 1}
)

func (w work) mix() loadtest.Mix {
	if w.op == opGet {
		return getMix
	}
	return addMix
}

func (w work) String() string { return fmt.Sprintf("%s%d", w.op, w.callers) }

// about describes the work.
func (w work) about() string {
	verb := map[operation]string{opAdd: "add a session", opGet: "read a session"}[w.op]
	if w.callers == 1 {
		return "1 caller, " + verb
	}
	return fmt.Sprintf("%d callers, each: %s", w.callers, verb)
}
