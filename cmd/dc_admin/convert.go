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
		summary:  "make the log of a stopped node one of the other kind",
		about: `Done on the node's own machine while its dc_server is stopped: the log in its data directory is
copied to the other kind, compared, and put in the old one's place. dc_server is then started with
-raft-log of that kind. It needs free space of the log's size. It may be interrupted at any moment:
the log is then of one kind or the other, and saying it again finishes it. The nodes of a cluster
are converted one by one.`,
		flags: []string{"data", "to"},
		run:   convertLog,
	}
}

func convertLog(ctx context.Context, c *call) error {
	if err := c.none("convert-log"); err != nil {
		return err
	}
	if c.to == "" {
		return config.Usagef("convert-log needs -to: the kind that the log is to have, bolt or wal")
	}
	to, err := raftstore.ParseLogKind(c.to)
	if err != nil {
		return config.Usagef("-to: %w", err)
	}
	done, err := raftstore.ConvertLog(ctx, c.data, to)
	switch {
	case errors.Is(err, raftstore.ErrForeign) && !there(c.data):
		return config.Hint(fmt.Errorf("there is no directory %s", clean(c.data)), "-data names the node's data directory: what its dc_server has as -data.")
	case errors.Is(err, os.ErrPermission):
		return config.Hint(err, "The data directory belongs to the user that dc_server runs as: be that user, or root.")
	case errors.Is(err, raftstore.ErrInUse):
		return config.Hint(err, "A log is converted while its dc_server is stopped.")
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

// A conversion is what scripts are told of one.
type conversion struct {
	OK      bool   `json:"ok"`
	From    string `json:"from"`
	To      string `json:"to"`
	Entries uint64 `json:"entries"` // copied
	First   uint64 `json:"first_index"`
	Last    uint64 `json:"last_index"`
	Bytes   int64  `json:"bytes"`
}

// converted tells of a conversion.
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
		return c.done("The log in %s, which has no entries, was of kind %s and is now of kind %s.\nStart dc_server with -raft-log %s.",
			clean(c.data), done.From, done.To, done.To)
	}
	return c.done("The log in %s was of kind %s and is now of kind %s.\nCopied and compared: %d entries, %d to %d, %s; votes of term %d.\nStart dc_server with -raft-log %s.",
		clean(c.data), done.From, done.To, done.Entries, done.First, done.Last, size(done.Bytes), done.Term, done.To)
}
