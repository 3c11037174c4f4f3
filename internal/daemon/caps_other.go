//go:build !linux

package daemon

import "errors"

func keepRemoving([]string) error { return errors.ErrUnsupported }
