package snoop

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/distcache/distcache/internal/testutil"
	"github.com/distcache/distcache/wire"
)

// replay feeds recorded bytes to watches, as relays would, and returns the output. The format of the records is
// described in testdata/conversation.rec.
func replay(t *testing.T, file string, cfg Config) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", file))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	at := time.Date(2024, 5, 6, 14, 3, 7, 0, time.UTC)
	queue := newQueue(&out, 1<<20, notice, unwanted(t))
	tally := newTally(at)
	watches := make(map[string]*watch)
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		micros, err := strconv.Atoi(words[0])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		at = at.Add(time.Duration(micros) * time.Microsecond)
		name, w, what, rest := words[1], watches[words[1]], words[2], words[3:]
		switch what {
		case "open":
			conn, _ := strconv.ParseUint(name, 10, 64)
			watches[name] = newWatch(&cfg, queue, tally, conn, at)
			tally.count(connected, 1)
			watches[name].opened(rest[0], "127.0.0.1:9001")
		case ">":
			w.bytes(toServer, recorded(t, rest), at)
		case "<":
			w.bytes(toClient, recorded(t, rest), at)
		case ">end":
			w.end(toServer, at)
		case "<end":
			w.end(toClient, at)
		case "close":
			w.closed(strings.Join(rest, " "), at)
		case "noserver":
			w.failed(strings.Join(rest, " "), at)
		default:
			t.Fatalf("what is %q?", what)
		}
	}
	if cfg.Stats {
		sum := tally.whole(at)
		sum.dropped = 3
		queue.force(cfg.append(nil, sum))
		queue.force(cfg.append(nil, tally.interval(at.Add(10*time.Second))))
		queue.force(cfg.append(nil, &dropped{at, 3}))
	}
	queue.close(testutil.Patience)
	return out.String()
}

func recorded(t *testing.T, words []string) (b []byte) {
	t.Helper()
	for _, word := range words {
		digits, times, repeated := strings.Cut(word, "*")
		n := 1
		if repeated {
			n, _ = strconv.Atoi(times)
		}
		b = append(b, bytes.Repeat(unhex(t, digits), n)...)
	}
	return b
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		golden, rec string
		cfg         Config
	}{
		{"text", "conversation", Config{Format: Text, Stats: true}},
		{"colour", "conversation", Config{Format: Text, Stats: true, Colour: true}},
		{"json", "conversation", Config{Format: JSON, Stats: true}},
		{"data", "conversation", Config{Format: Text, Data: true}},
		{"data-json", "conversation", Config{Format: JSON, Data: true, IDPrefix: []byte("\xde\xad")}},
		{"op", "conversation", Config{Format: Text, Ops: []wire.Op{wire.OpRemove, wire.OpGet}}},
		{"id", "conversation", Config{Format: Text, IDPrefix: []byte("0123456789abcdef")}},
		{"quiet", "conversation", Config{Format: Text, Quiet: true}},
		{"malformed", "malformed", Config{Format: Text, Stats: true}},
		{"malformed-data", "malformed", Config{Format: Text, Data: true, Quiet: true}},
		{"malformed-json", "malformed", Config{Format: JSON}},
	} {
		t.Run(test.golden, func(t *testing.T) {
			testutil.Golden(t, test.golden+".golden", replay(t, test.rec+".rec", test.cfg))
		})
	}
}

// TestNoSecrets looks for session data in the output, and for more of a session id than may be shown.
func TestNoSecrets(t *testing.T) {
	for _, format := range []string{Text, JSON} {
		for _, rec := range []string{"conversation.rec", "malformed.rec"} {
			got := replay(t, rec, Config{Format: format, Stats: true})
			for _, secret := range []string{"68656c", "hello", "b5b5", "\xb5\xb5", "30313233343536", "0123456"} {
				if strings.Contains(got, secret) {
					t.Errorf("%s of %s shows %q", format, rec, secret)
				}
			}
			withData := replay(t, rec, Config{Format: JSON, Data: true})
			if rec == "conversation.rec" && !strings.Contains(withData, "68656c") {
				t.Error("with Data it is not shown: this test looks for the wrong thing")
			}
		}
	}
}

// TestSameInPieces feeds the bytes one by one.
func TestSameInPieces(t *testing.T) {
	b := recorded(t, strings.Fields("00110000 00 00000003 00 01 01 0010 30*16"+
		" 00110000 00 00000004 00 03 01 0004 deadbeef 00110000 01"))
	print := func(size int) string {
		var out bytes.Buffer
		cfg := Config{Format: Text}
		queue := newQueue(&out, 1<<20, notice, unwanted(t))
		w := newWatch(&cfg, queue, newTally(time.Time{}), 1, time.Time{})
		for piece := range slicesOf(b, size) {
			w.bytes(toServer, piece, time.Time{})
		}
		queue.close(testutil.Patience)
		return out.String()
	}
	if one, all := print(1), print(len(b)); one != all || !strings.Contains(one, "MALFORMED at byte 52") {
		t.Errorf("byte by byte\n%s\nat once\n%s", one, all)
	}
}

func slicesOf(b []byte, size int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 && yield(b[:min(size, len(b))]) {
			b = b[min(size, len(b)):]
		}
	}
}

func TestAmount(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 99_999: "99999", 100_000: "100k", 999_949: "999.9k", 999_950: "1M", 1_234_567: "1.2M",
		12_000_000_000: "12G",
	} {
		if got := amount(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 999 * time.Millisecond: "999ms", 90 * time.Second: "1m30s", 5 * time.Minute: "5m", time.Hour: "1h",
		90 * time.Minute: "1h30m", wire.MaxTimeout: "168h", time.Hour + time.Second: "1h0m1s",
	} {
		if got := duration(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestTallyAddsUp(t *testing.T) {
	start := time.Unix(0, 0)
	tally := newTally(start)
	record := func(ms int) {
		l := &exchanged{op: wire.OpGet, wire: 10, asked: true, latency: time.Duration(ms) * time.Millisecond}
		tally.request(l)
		tally.answer(l)
	}
	for ms := 1; ms <= 50; ms++ {
		record(ms)
	}
	if gets := tally.interval(start).ops[wire.OpGet]; gets.answers != 50 || gets.slowest != 50*time.Millisecond {
		t.Errorf("first interval is %+v", gets)
	}
	for ms := 51; ms <= 100; ms++ {
		record(ms)
	}
	if second := tally.interval(start); second.ops[wire.OpGet].answers != 50 {
		t.Errorf("second interval has %d", second.ops[wire.OpGet].answers)
	}
	record(1000)
	all := tally.whole(start).all()
	got := fmt.Sprint(all.requests, all.answers, all.bytes, all.slowest,
		all.quantile(50).Round(time.Millisecond), all.quantile(99).Round(time.Millisecond))
	if want := "101 101 [1010 1010] 1s 51ms 100ms"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
