package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/distcache/distcache/loadtest"
	"github.com/distcache/distcache/wire"
)

// maxCallers bounds a work: past it the callers themselves are what is measured.
const maxCallers = 10_000

// A work is one operation, asked for by so many callers at the same time.
type work struct {
	op      operation
	callers int
}

type operation string

const (
	opAdd operation = "add"
	opGet operation = "get"
)

// defaultWorks are those of a run that is not told otherwise. Reading comes first: it is of what was put there for it.
const defaultWorks = "get1,get64,get256,add1,add64,add256"

// parseWork takes a work's name: add64.
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

// A work asks for one operation only.
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

// about is the work in words.
func (w work) about() string {
	verb := map[operation]string{opAdd: "add a session", opGet: "read a session"}[w.op]
	if w.callers == 1 {
		return "1 caller, " + verb
	}
	return fmt.Sprintf("%d callers, each: %s", w.callers, verb)
}
