// Package files has what those who replace files safely have in common.
package files

import (
	"errors"
	"os"
)

// SyncDir syncs a directory, so that a crash leaves its files with the names that they have now.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Remove removes a file if it is there.
func Remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
