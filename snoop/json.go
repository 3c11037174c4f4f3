package snoop

import (
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/distcache/distcache/wire"
)

// A jsonHead is what all JSON objects about a connection begin with. The fields of every object are an interface to
// other programs: new ones may come, none goes.
type jsonHead struct {
	Time  string `json:"time"`
	Event string `json:"event"`
	Conn  uint64 `json:"conn"`
}

func head(event string, at place) jsonHead { return jsonHead{stamp(at.at), event, at.conn} }

// stamp formats a time with a fixed length, so that lines can be sorted by it.
func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000000Z07:00") }

// appendJSON appends an object as a line.
func appendJSON(dst []byte, v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // no type here can fail
		panic(err)
	}
	return append(append(dst, b...), '\n')
}

func (l *opened) json() any {
	return struct {
		jsonHead
		Client   string `json:"client"`
		Listener string `json:"listener"`
	}{head("open", l.place), l.client, l.listener}
}

type jsonMessage struct {
	jsonHead
	Direction string  `json:"direction"` // to-server, to-client
	Op        string  `json:"op"`
	UID       uint32  `json:"uid"`
	ID        *string `json:"id,omitempty"` // its beginning, in hex
	IDBytes   *int    `json:"id_bytes,omitempty"`
	DataBytes int     `json:"data_bytes"` // of session data
	Payload   int     `json:"payload_bytes"`
	Wire      int64   `json:"wire_bytes"`
	TimeoutMS *int64  `json:"timeout_ms,omitempty"` // of an ADD
	Status    string  `json:"status,omitempty"`     // of an answer
	Asked     *bool   `json:"asked,omitempty"`      // of an answer: its request was seen
	LatencyUS *int64  `json:"latency_us,omitempty"`
	Data      string  `json:"payload,omitempty"` // with Config.Data, in hex
}

func (l *exchanged) json() any {
	m := jsonMessage{
		jsonHead: head("request", l.place), Direction: directionName(l.dir), Op: l.op.String(), UID: l.uid,
		DataBytes: l.data, Payload: l.size, Wire: l.wire, Data: hex.EncodeToString(l.payload),
	}
	if l.known {
		id := hex.EncodeToString(l.id.shown())
		m.ID, m.IDBytes = &id, &l.id.size
	}
	switch {
	case l.dir == toClient:
		m.Event, m.Status, m.Asked = "answer", l.status.Name(), &l.asked
		if l.asked {
			us := l.latency.Microseconds()
			m.LatencyUS = &us
		}
	case l.op == wire.OpAdd:
		ms := l.timeout.Milliseconds()
		m.TimeoutMS = &ms
	}
	return m
}

func directionName(dir direction) string {
	if dir == toServer {
		return "to-server"
	}
	return "to-client"
}

func (l *malformed) json() any {
	return struct {
		jsonHead
		Direction string `json:"direction"`
		Offset    int64  `json:"offset"`
		Rule      string `json:"rule"`
		Header    string `json:"header,omitempty"`
	}{head("malformed", l.place), directionName(l.dir), l.offset, l.rule.Error(), hex.EncodeToString(l.header)}
}

func (l *failed) json() any {
	return struct {
		jsonHead
		Reason string `json:"reason"`
	}{head("failed", l.place), l.reason}
}

func (l *closed) json() any {
	return struct {
		jsonHead
		Reason     string `json:"reason"`
		LastedUS   int64  `json:"lasted_us"`
		Requests   uint64 `json:"requests"`
		Answers    uint64 `json:"answers"`
		ToServer   int64  `json:"to_server_bytes"`
		ToClient   int64  `json:"to_client_bytes"`
		Undecoded  int64  `json:"undecoded_bytes"`
		Unanswered int    `json:"unanswered"`
	}{
		head("close", l.place), l.reason, l.lasted.Microseconds(), l.messages[toServer], l.messages[toClient],
		l.bytes[toServer], l.bytes[toClient], l.undecoded, l.unanswered,
	}
}

func (l *dropped) json() any {
	return struct {
		Time  string `json:"time"`
		Event string `json:"event"`
		Lines uint64 `json:"lines"`
	}{stamp(l.at), "dropped", l.lines}
}

type jsonOp struct {
	Requests uint64            `json:"requests"`
	Answers  uint64            `json:"answers"`
	Unasked  uint64            `json:"unasked"`
	ToServer int64             `json:"to_server_bytes"`
	ToClient int64             `json:"to_client_bytes"`
	Statuses map[string]uint64 `json:"statuses"`
	P50      int64             `json:"p50_us"`
	P99      int64             `json:"p99_us"`
	Max      int64             `json:"max_us"`
}

func (s *summary) json() any {
	ops := make(map[string]jsonOp)
	for op := range s.ops {
		c := &s.ops[op]
		if c.requests+c.answers == 0 {
			continue
		}
		statuses := make(map[string]uint64)
		for status, n := range c.statuses {
			if n > 0 {
				statuses[wire.Status(status).Name()] = n
			}
		}
		ops[wire.Op(op).String()] = jsonOp{
			c.requests, c.answers, c.unasked, c.bytes[toServer], c.bytes[toClient], statuses,
			c.quantile(50).Microseconds(), c.quantile(99).Microseconds(), c.slowest.Microseconds(),
		}
	}
	return struct {
		Time        string            `json:"time"`
		Event       string            `json:"event"`
		Since       string            `json:"since"`
		Whole       bool              `json:"whole"` // since the start
		Connections uint64            `json:"connections"`
		Open        int               `json:"open"`
		Failed      uint64            `json:"failed"`  // connections that the server did not take
		Refused     uint64            `json:"refused"` // connections closed because too many were open
		Malformed   uint64            `json:"malformed"`
		Unanswered  uint64            `json:"unanswered"`
		Dropped     uint64            `json:"lines_dropped"` // since the start
		ToServer    int64             `json:"to_server_bytes"`
		ToClient    int64             `json:"to_client_bytes"`
		Ops         map[string]jsonOp `json:"ops"`
	}{
		stamp(s.to), "summary", stamp(s.from), s.whole,
		s.n[connected], s.open, s.n[unserved], s.n[refused], s.n[undecodable], s.n[unanswered],
		s.dropped, s.bytes[toServer], s.bytes[toClient], ops,
	}
}
