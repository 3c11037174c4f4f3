//go:build !linux

package daemon

import (
	"io/fs"
	"os"
)

// hand gives a socket to its owner. Unlike on Linux it follows links, so that nobody else may be able to write to the
// directory.
func (a access) hand(path string, perms fs.FileMode) error {
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return err
	}
	return os.Chmod(path, perms)
}
