package daemon

import (
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// groupMemory is how much memory the control group of this process may have, 0 if there is no limit.
func groupMemory() int64 {
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := int64(math.MaxInt64)
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		root, file := "/sys/fs/cgroup", "memory.max"
		if parts[1] == "memory" { // version 1
			root, file = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
		} else if parts[1] != "" {
			continue
		}
		for group := filepath.Clean("/" + parts[2]); ; group = filepath.Dir(group) { // a limit of a group above counts too
			if b, err := os.ReadFile(filepath.Join(root, group, file)); err == nil {
				if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil {
					least = min(least, n)
				}
			}
			if group == "/" {
				break
			}
		}
	}
	if least > 1<<50 { // which is how version 1 says that there is none
		return 0
	}
	return least
}
