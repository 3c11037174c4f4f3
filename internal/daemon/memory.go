package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// minMemory is the least -memory-limit.
const minMemory = 64 << 20

// parseSize reads a number of bytes, with or without a unit.
func parseSize(text string) (int64, error) {
	number, unit := text, int64(1)
	for suffix, n := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40} {
		if rest, ok := strings.CutSuffix(text, suffix); ok {
			number, unit = rest, n
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("not %q", text)
	}
	return n * unit, nil
}

func setMemory(p *int64) func(string) error {
	return func(text string) error {
		n, err := parseSize(text)
		if err == nil && n < minMemory {
			err = errors.New("that is too little to work with: 64MiB is the least")
		}
		*p = n
		return err
	}
}

// limitMemory bounds the memory of this process: by -memory-limit, or by nine tenths of what its control group may have.
// GOMEMLIMIT, if it is set, counts without -memory-limit. It gives the limit, 0 if there is none.
func (o *Options) limitMemory() int64 {
	limit := o.memory
	if limit == 0 && os.Getenv("GOMEMLIMIT") == "" {
		limit = groupMemory() / 10 * 9
	}
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
	if set := debug.SetMemoryLimit(-1); set < math.MaxInt64 {
		return set
	}
	return 0
}

// Buffers is how much of this process's memory one kind of waiting bytes may take, 0 for the default.
func (p *Process) Buffers() int {
	if p.Memory == 0 {
		return 0
	}
	return int(min(256<<20, p.Memory/8))
}

const (
	memoryTick = 10 * time.Second
	// freeMemory is how much unused memory may be kept for later.
	freeMemory = 64 << 20
)

// GiveMemoryBack returns memory to the system after a flood of requests, until ctx ends. The runtime by itself keeps what
// was once needed for minutes.
func GiveMemoryBack(ctx context.Context) {
	t := time.NewTicker(memoryTick)
	defer t.Stop()
	free := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}, {Name: "/memory/classes/heap/unused:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		if metrics.Read(free); free[0].Value.Uint64()+free[1].Value.Uint64() > freeMemory {
			debug.FreeOSMemory()
		}
	}
}
