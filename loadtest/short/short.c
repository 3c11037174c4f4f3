/*
 * short: callers that ask as libdistcache's blocking client does by default: a connection to a unix socket for each
 * request, closed after the answer.
 *
 *     short PATH CALLERS SECONDS [BYTES]
 *
 * adds one session of so many bytes, 1024 unless told, and has each caller, a process, get it over and over. It prints how
 * many answers came in a second, and the median and 99th percentile of the time that one takes. An answer that is not
 * the session is an error, which ends it with status 1.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { header = 14, frame_most = 2048, id_size = 32, data_most = 16384, add = 0, get = 1, micros_most = 1000000 };

struct caller {
	uint64_t answers;
	uint32_t took[micros_most]; /* how many took so many microseconds */
};

static struct sockaddr_un where = {.sun_family = AF_UNIX};

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* request makes a request's frames, and gives their size. */
static size_t request(unsigned char *to, int op, const unsigned char *payload, size_t size)
{
	unsigned char *at = to;
	do {
		size_t n = size < frame_most ? size : frame_most;
		memset(at, 0, header);
		at[1] = 0x11; /* the version */
		at[8] = 1;    /* request_uid */
		at[10] = op;
		at[11] = n == size; /* complete */
		at[12] = n >> 8;
		at[13] = n;
		memcpy(at + header, payload, n);
		at += header + n;
		payload += n;
		size -= n;
	} while (size > 0);
	return at - to;
}

/* answer reads an answer's payload, and gives its size. */
static size_t answer(int s, unsigned char *to)
{
	unsigned char in[2 * data_most];
	size_t have = 0, size = 0, frame = 0;
	for (;;) {
		ssize_t n = read(s, in + have, sizeof in - have);
		if (n <= 0)
			fail("read");
		have += n;
		while (have - frame >= header) {
			size_t data = in[frame + 12] << 8 | in[frame + 13];
			if (have - frame < header + data)
				break;
			memcpy(to + size, in + frame + header, data);
			size += data;
			if (in[frame + 11])
				return size;
			frame += header + data;
		}
	}
}

static size_t ask(const unsigned char *frames, size_t size, unsigned char *to)
{
	int s = socket(AF_UNIX, SOCK_STREAM, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&where, sizeof where))
		fail("connect");
	if (write(s, frames, size) != (ssize_t)size)
		fail("write");
	size = answer(s, to);
	close(s);
	return size;
}

static void call(struct caller *c, double until, const unsigned char *session, size_t size)
{
	unsigned char frames[header + id_size], got[2 * data_most];
	size_t n = request(frames, get, session, id_size);
	for (double begun = seconds(), now; begun < until; begun = now) {
		if (ask(frames, n, got) != size || memcmp(got, session + id_size, size)) {
			fprintf(stderr, "the answer is not the session\n");
			exit(1);
		}
		now = seconds();
		double micros = (now - begun) * 1e6;
		c->took[micros < micros_most ? (int)micros : micros_most - 1]++;
		c->answers++;
	}
}

static int percentile(const uint64_t *took, uint64_t answers, double part)
{
	uint64_t sum = 0;
	int i = 0;
	while (i < micros_most - 1 && (sum += took[i]) < answers * part)
		i++;
	return i;
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "usage: short PATH CALLERS SECONDS [BYTES]\n");
		return 2;
	}
	int callers = atoi(argv[2]);
	double time = atof(argv[3]);
	int size = argc > 4 ? atoi(argv[4]) : 1024;
	if (strlen(argv[1]) >= sizeof where.sun_path || callers < 1 || time <= 0 || size < 5 || size > data_most) {
		fprintf(stderr, "short: a path that is too long, or a number that is out of range\n");
		return 2;
	}
	strcpy(where.sun_path, argv[1]);

	static unsigned char payload[8 + id_size + data_most], frames[2 * sizeof payload], got[2 * data_most];
	uint32_t timeout = htonl(3600 * 1000), length = htonl(id_size);
	memcpy(payload, &timeout, 4);
	memcpy(payload + 4, &length, 4);
	srandom(getpid());
	for (int i = 8; i < 8 + id_size + size; i++)
		payload[i] = random();
	if (ask(frames, request(frames, add, payload, 8 + id_size + size), got) != 1 || got[0] != 0) {
		fprintf(stderr, "short: the session was not added\n");
		return 1;
	}

	struct caller *all = mmap(NULL, callers * sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED)
		fail("mmap");
	double begun = seconds();
	for (int i = 0; i < callers; i++) {
		pid_t child = fork();
		if (child < 0)
			fail("fork");
		if (child == 0) {
			call(&all[i], begun + time, payload + 8, size);
			exit(0);
		}
	}
	int status, bad = 0;
	while (wait(&status) > 0)
		bad |= status;
	double took = seconds() - begun;
	if (bad)
		return 1;
	static uint64_t total[micros_most];
	uint64_t answers = 0;
	for (int i = 0; i < callers; i++) {
		answers += all[i].answers;
		for (int k = 0; k < micros_most; k++)
			total[k] += all[i].took[k];
	}
	printf("%d callers: %.0f a second, p50 %.3f ms, p99 %.3f ms\n", callers, answers / took,
		percentile(total, answers, .5) / 1e3, percentile(total, answers, .99) / 1e3);
	return 0;
}
