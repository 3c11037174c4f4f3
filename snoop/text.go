package snoop

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/distcache/distcache/wire"
)

// Lines of text have columns that stay in place, and words that can be searched for.

// A style tells whether text is coloured.
type style bool

// The terminal's own colours, so that they suit its background.
const (
	plain  = ""
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	bold   = "\x1b[1m"
	loud   = "\x1b[1;31m"
	reset  = "\x1b[0m"
)

// paint appends text, padded to a width. A negative width pads on the left.
func (p style) paint(dst []byte, colour, text string, width int) []byte {
	pad := strings.Repeat(" ", max(0, max(width, -width)-utf8.RuneCountInString(text)))
	if width < 0 {
		dst = append(dst, pad...)
	}
	if bool(p) && colour != plain && text != "" {
		dst = append(dst, colour...)
		dst = append(dst, text...)
		dst = append(dst, reset...)
	} else {
		dst = append(dst, text...)
	}
	if width > 0 {
		dst = append(dst, pad...)
	}
	return dst
}

const clock = "15:04:05.000000"

// begin appends what all lines about a connection begin with.
func (p style) begin(dst []byte, at place, arrow string) []byte {
	dst = p.paint(dst, dim, at.at.Format(clock), len(clock))
	dst = append(dst, ' ')
	dst = p.paint(dst, bold, fmt.Sprintf("#%d", at.conn), 7)
	dst = append(dst, ' ')
	dst = append(dst, arrow...)
	return append(dst, ' ')
}

func arrow(dir direction) string {
	if dir == toServer {
		return "->"
	}
	return "<-"
}

// finish ends a line, without the padding of empty columns at its end.
func finish(dst []byte) []byte {
	for len(dst) > 0 && dst[len(dst)-1] == ' ' {
		dst = dst[:len(dst)-1]
	}
	return append(dst, '\n')
}

func (l *opened) text(p style, dst []byte) []byte {
	dst = p.begin(dst, l.place, "--")
	return finish(p.paint(dst, dim, "open   from "+l.client+" on "+l.listener, 0))
}

func (l *exchanged) text(p style, dst []byte) []byte {
	dst = p.begin(dst, l.place, arrow(l.dir))
	colour := plain
	if l.dir == toServer {
		colour = cyan
	}
	dst = p.paint(dst, colour, l.op.String(), 6)
	dst = fmt.Appendf(dst, " uid=%-10d id=%-14s ", l.uid, idText(l))
	size := ""
	if l.data > 0 {
		size = fmt.Sprintf("%d B", l.data)
	}
	dst = p.paint(dst, plain, size, -7)
	dst = append(dst, "  "...)
	if l.dir == toServer {
		if l.op == wire.OpAdd {
			dst = append(dst, "timeout "...)
			dst = append(dst, duration(l.timeout)...)
		}
	} else {
		dst = p.paint(dst, statusColour(l.status), l.status.Name(), 16)
		latency := "no request"
		if l.asked {
			latency = millis(l.latency) + " ms"
		}
		dst = append(dst, ' ')
		dst = p.paint(dst, plain, latency, -12)
		if l.size == 0 { // there is no status byte; clients take that as DISCONNECTED
			dst = append(dst, "  (empty answer)"...)
		}
	}
	dst = finish(dst)
	return dump(dst, l.payload)
}

// idText is the beginning of a session id, with two dots if there is more of it.
func idText(l *exchanged) string {
	switch {
	case !l.known:
		return "?"
	case l.id.size == 0:
		return "-"
	case l.id.size > shortID:
		return hex.EncodeToString(l.id.shown()) + ".."
	}
	return hex.EncodeToString(l.id.shown())
}

func statusColour(s wire.Status) string {
	switch s {
	case wire.OK:
		return green
	case wire.NotOK, wire.MatchingSession:
		return yellow
	}
	return red
}

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) string {
	return fmt.Sprintf("%d.%03d", d.Milliseconds(), d.Microseconds()%1000)
}

// duration is d without trailing zero units: 5m rather than 5m0s.
func duration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// span is how long something lasted, to about four digits.
func span(d time.Duration) string {
	if d < time.Second {
		return duration(d.Round(time.Microsecond))
	}
	return duration(d.Round(time.Millisecond))
}

// dump appends bytes in hex and as text, sixteen to a line, under the line they belong to.
func dump(dst, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	for line := range strings.Lines(hex.Dump(b)) {
		dst = append(dst, "        "...)
		dst = append(dst, line...)
	}
	return dst
}

func (l *malformed) text(p style, dst []byte) []byte {
	dst = p.begin(dst, l.place, arrow(l.dir))
	dst = p.paint(dst, loud, fmt.Sprintf("MALFORMED at byte %d: %v", l.offset, l.rule), 0)
	if l.rule != wire.ErrTruncated {
		dst = append(dst, "; not decoded from here on"...)
	}
	return dump(finish(dst), l.header)
}

func (l *failed) text(p style, dst []byte) []byte {
	dst = p.begin(dst, l.place, "--")
	return finish(p.paint(dst, loud, "FAILED "+l.reason, 0))
}

func (l *closed) text(p style, dst []byte) []byte {
	dst = p.begin(dst, l.place, "--")
	text := fmt.Sprintf("close  %s after %s: %s (%d B), %s (%d B)", l.reason, span(l.lasted),
		count(l.messages[toServer], "request"), l.bytes[toServer],
		count(l.messages[toClient], "answer"), l.bytes[toClient])
	dst = p.paint(dst, dim, text, 0)
	if l.unanswered > 0 {
		dst = p.paint(dst, red, fmt.Sprintf(", %d unanswered", l.unanswered), 0)
	}
	if l.undecoded > 0 {
		dst = p.paint(dst, red, fmt.Sprintf(", %d B not decoded", l.undecoded), 0)
	}
	return finish(dst)
}

func count[N int | uint64](n N, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func (l *dropped) text(p style, dst []byte) []byte {
	dst = p.paint(dst, dim, l.at.Format(clock), len(clock))
	dst = append(dst, ' ')
	return finish(p.paint(dst, loud, count(l.lines, "line")+" dropped: the output is too slow", 0))
}
