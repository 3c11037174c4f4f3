package daemon

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	for text, want := range map[string]int64{"64MiB": 64 << 20, "1GiB": 1 << 30, "100000000": 100000000, "65536KiB": 64 << 20} {
		var o Options
		if err := setMemory(&o.memory)(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := o.limitMemory(); got != want || debug.SetMemoryLimit(-1) != want {
			t.Errorf("%s: the limit is %d, want %d", text, got, want)
		}
	}
	for _, text := range []string{"", "1", "63MiB", "-1", "1GB", "x", "99999999999GiB", "9223372036854775807KiB"} {
		var o Options
		if err := setMemory(&o.memory)(text); err == nil {
			t.Errorf("%q is taken for %d", text, o.memory)
		}
	}
	debug.SetMemoryLimit(math.MaxInt64)
	t.Setenv("GOMEMLIMIT", "1GiB")
	if got := new(Options).limitMemory(); got != 0 {
		t.Errorf("GOMEMLIMIT, which the runtime reads itself, was overridden by %d", got)
	}
}
