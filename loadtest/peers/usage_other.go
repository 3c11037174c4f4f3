//go:build !linux

package main

// readUsage is for Linux: elsewhere, what servers use is not known.
func readUsage(*farm) (usage, error) {
	return usage{}, errNoUsage
}
