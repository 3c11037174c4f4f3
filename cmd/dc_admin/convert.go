package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/distcache/distcache/internal/config"
	"github.com/distcache/distcache/raftstore"
)

func convertCommand() *command {
	return &command{
		name:     "convert-log",
		operands: "-data DIR -to bolt|wal",
		summary:  "convert the log of a stopped node to the other kind",
		about: `Run this on the node's own machine while its dc_server is stopped. It copies the log in the data
directory to the other kind, compares the copy, and puts it in the old log's place. Then start
dc_server with -raft-log of that kind. The copy needs as much free disk space as the log takes. The
conversion may be interrupted at any moment: the log is then of one kind or the other, and running
the same command again finishes the conversion. Convert the nodes of a cluster one by one.`,
		flags: []string{"data", "to"},
		run:   convertLog,
	}
}

func convertLog(ctx context.Context, c *call) error {
	if err := c.none("convert-log"); err != nil {
		return err
	}
	if c.to == "" {
		return config.Usagef("convert-log needs -to, the kind of log to convert to: bolt or wal")
	}
	to, err := raftstore.ParseLogKind(c.to)
	if err != nil {
		return config.Usagef("-to: %w", err)
	}
	done, err := raftstore.ConvertLog(ctx, c.data, to)
	switch {
	case errors.Is(err, raftstore.ErrForeign) && !there(c.data):
		return config.Hint(fmt.Errorf("there is no directory %s", clean(c.data)),
			"-data names the node's data directory: the same as dc_server's -data.")
	case errors.Is(err, os.ErrPermission):
		return config.Hint(err, "The data directory belongs to the user that dc_server runs as. Run dc_admin as that "+
			"user, or as root.")
	case errors.Is(err, raftstore.ErrInUse):
		return config.Hint(err, "Stop dc_server before you convert its log.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return config.Hint(errors.New("interrupted"), "Nothing is lost: the log is still of kind %s.", done.From)
	case err != nil:
		return err
	}
	return c.converted(done)
}

func there(dir string) bool {
	_, err := os.Stat(dir)
	return !errors.Is(err, os.ErrNotExist)
}

// A conversion is the JSON output of convert-log.
type conversion struct {
	OK      bool   `json:"ok"`
	From    string `json:"from"`
	To      string `json:"to"`
	Entries uint64 `json:"entries"` // copied
	First   uint64 `json:"first_index"`
	Last    uint64 `json:"last_index"`
	Bytes   int64  `json:"bytes"`
}

// converted prints the result of a conversion.
func (c *call) converted(done raftstore.Conversion) error {
	if c.json {
		from := done.From
		if !done.Done {
			from = done.To
		}
		return c.print(conversion{true, from.String(), done.To.String(), done.Entries, done.First, done.Last, done.Bytes})
	}
	if !done.Done {
		return c.done("The log in %s is of kind %s already.", clean(c.data), done.To)
	}
	if done.Entries == 0 {
		return c.done("The log in %s, which has no entries, was of kind %s and is now of kind %s.\nStart dc_server with "+
			"-raft-log %s.",
			clean(c.data), done.From, done.To, done.To)
	}
	return c.done("The log in %s was of kind %s and is now of kind %s.\nCopied and compared: %d entries, %d to %d, %s; "+
		"votes of term %d.\nStart dc_server with -raft-log %s.",
		clean(c.data), done.From, done.To, done.Entries, done.First, done.Last, size(done.Bytes), done.Term, done.To)
}
