package config

import (
	"os"
	"path/filepath"
	"strings"
)

// DataDir is the data directory of a node that is told none: the one that systemd gives it in $STATE_DIRECTORY (the
// first, if there are several), else ./distcache-data.
func DataDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return "./distcache-data"
}

// AdminAddress is where the admin listener of a node with that data directory is, unless it is told otherwise.
func AdminAddress(dataDir string) string {
	path := filepath.Join(dataDir, "admin.sock")
	if !filepath.IsAbs(path) {
		path = "./" + path
	}
	return "UNIX:" + path
}
