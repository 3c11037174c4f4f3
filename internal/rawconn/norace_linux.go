//go:build !race

package rawconn

func hasRead(uintptr) {}

func willWrite() {}
