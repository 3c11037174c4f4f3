package snoop

import (
	"fmt"
	"strings"
	"time"

	"github.com/distcache/distcache/wire"
)

// text appends a title and a table of the operations.
func (s *summary) text(p style, dst []byte) []byte {
	stretch := "last " + seconds(s.to.Sub(s.from))
	if s.whole {
		stretch = "all of " + seconds(s.to.Sub(s.from))
	}
	title := fmt.Sprintf("--- %s, %s: %s, %d open", s.to.Format("15:04:05"), stretch,
		count(s.n[connected], "new connection"), s.open)
	for _, extra := range []struct {
		n    uint64
		what string
	}{
		{s.n[unserved], "without a server"}, {s.n[refused], "refused"}, {s.n[undecodable], "malformed"},
		{s.n[unanswered], "unanswered"}, {s.dropped, "lines dropped"},
	} {
		if extra.n > 0 {
			title += fmt.Sprintf(", %d %s", extra.n, extra.what)
		}
	}
	dst = append(p.paint(dst, bold, title, 0), '\n')
	all := s.all()
	if all.requests+all.answers == 0 {
		return dst
	}
	dst = p.paint(dst, dim, fmt.Sprintf("%-6s %9s %9s %9s %9s %9s %9s %9s  %s",
		"", "requests", "answers", "-> bytes", "<- bytes", "p50 ms", "p99 ms", "max ms", "answered"), 0)
	dst = append(dst, '\n')
	for op := range s.ops {
		if c := &s.ops[op]; c.requests+c.answers > 0 {
			dst = p.row(dst, wire.Op(op).String(), c)
		}
	}
	return p.row(dst, "all", all)
}

func (p style) row(dst []byte, name string, c *opCounts) []byte {
	dst = fmt.Appendf(dst, "%-6s %9d %9d %9s %9s", name, c.requests, c.answers,
		amount(c.bytes[toServer]), amount(c.bytes[toClient]))
	if c.latencies == nil {
		dst = fmt.Appendf(dst, " %9s %9s %9s  ", "-", "-", "-")
	} else {
		dst = fmt.Appendf(dst, " %9s %9s %9s  ", millis(c.quantile(50)), millis(c.quantile(99)), millis(c.slowest))
	}
	sep := ""
	for status, n := range c.statuses {
		if n > 0 {
			dst = append(dst, sep...)
			dst = p.paint(dst, statusColour(wire.Status(status)), wire.Status(status).Name(), 0)
			dst = fmt.Appendf(dst, " %d", n)
			sep = ", "
		}
	}
	if c.unasked > 0 {
		dst = append(dst, sep...)
		dst = p.paint(dst, red, "no request", 0)
		dst = fmt.Appendf(dst, " %d", c.unasked)
	}
	return finish(dst)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }

// amount is a number of bytes that fits its column.
func amount(n int64) string {
	const units = "kMGTPE"
	if n < 100_000 {
		return fmt.Sprint(n)
	}
	f, unit := float64(n)/1000, 0
	for f >= 999.95 && unit < len(units)-1 {
		f /= 1000
		unit++
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + string(units[unit])
}
