package config

import (
	"os"
	"path/filepath"
	"strings"
)

// DataDir is the default data directory: the first one in $STATE_DIRECTORY, which systemd sets, else ./distcache-data.
func DataDir() string {
	if dir, _, _ := strings.Cut(os.Getenv("STATE_DIRECTORY"), ":"); dir != "" {
		return dir
	}
	return "./distcache-data"
}

// AdminAddress is the default address of the admin listener of a node with that data directory.
func AdminAddress(dataDir string) string {
	path := filepath.Join(dataDir, "admin.sock")
	if !filepath.IsAbs(path) {
		path = "./" + path
	}
	return "UNIX:" + path
}
