package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/distcache/distcache/wire"
)

// CannotListen is the error of a flag whose address can't be listened on, with advice.
func CannotListen(flag string, at wire.Address, err error) error {
	return ExplainListen(fmt.Errorf("%s %v: %w", flag, at, err), at.Path())
}

// ExplainListen adds advice to an error of listening. path is the path of a unix socket, empty for other addresses.
func ExplainListen(err error, path string) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && path != "" && !isSocket(path):
		return Hint(err, "Another file is in the way: remove it, or give another address.")
	case errors.Is(err, fs.ErrNotExist) && path != "":
		return Hint(err, "There is no directory %s: make it first, as with \"install -d %[1]s\".", filepath.Dir(path))
	case errors.Is(err, syscall.EADDRINUSE):
		return Hint(err, "Another process listens there: stop it, or give another address.")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return Hint(err, "No interface of this machine has that address.")
	case errors.Is(err, fs.ErrPermission):
		return Hint(err, "This user may not listen there.")
	}
	return err
}

func isSocket(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().Type() == fs.ModeSocket
}
