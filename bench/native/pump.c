/* The pump: reads what comes to many sockets and compares it with the stream that all of them should get.
 *
 * A read that equals the stream where its socket stands costs one `recv` and one comparison. All else (what is new to
 * the stream, pings, anything that differs) goes to `read`, in Python, which moves the socket's place itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

enum { SCRATCH = 1 << 18, EVENTS = 1024 };

struct entry { int64_t ns; int64_t index; int64_t at; };

struct pump {
  const unsigned char *stream; /* what everybody should get */
  const int64_t *stream_size;  /* how much of it is known */
  const int32_t *fds;
  int64_t *places;             /* how much of it each socket has got */
  uint8_t *slow;               /* whether all reads of a socket go to Python */
  struct entry *log;           /* when which socket got how far; may be NULL */
  int64_t log_size, log_count;
  int64_t busy_ns;             /* time of the turns in which something came */
  int64_t tick_ns;             /* how often `tick` is called at least; 0 for each turn */
  int32_t poll_fd;
  void (*read)(int64_t index, const unsigned char *data, int64_t size); /* size 0: the socket has ended */
  int32_t (*tick)(void);       /* returns 0 to stop */
};

static int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note(struct pump *p, int64_t index) {
  if (p->log && p->log_count < p->log_size) {
    struct entry e = {now_ns(), index, p->places[index]};
    p->log[p->log_count++] = e;
  }
}

/* Runs until `tick` says stop. It never sleeps: a wake-up would be paid by the server that causes it. */
void pump_run(struct pump *p) {
  static unsigned char scratch[SCRATCH];
  struct epoll_event events[EVENTS];
  int64_t next_tick = 0, began = now_ns();
  for (;;) {
    int count = epoll_wait(p->poll_fd, events, EVENTS, 0);
    for (int i = 0; i < count; i++) {
      int64_t index = (int64_t)events[i].data.u64;
      ssize_t got = recv(p->fds[index], scratch, SCRATCH, MSG_DONTWAIT);
      if (got < 0 && (errno == EAGAIN || errno == EINTR)) continue;
      if (got <= 0) {
        epoll_ctl(p->poll_fd, EPOLL_CTL_DEL, p->fds[index], NULL);
        p->read(index, scratch, 0);
        continue;
      }
      int64_t at = p->places[index];
      if (!p->slow[index] && at + got <= *p->stream_size && !memcmp(p->stream + at, scratch, (size_t)got))
        p->places[index] = at + got;
      else
        p->read(index, scratch, got);
      note(p, index);
    }
    int64_t now = now_ns();
    if (count > 0) p->busy_ns += now - began;
    began = now;
    if (now >= next_tick) {
      if (!p->tick()) return;
      next_tick = now + p->tick_ns;
    }
  }
}

/* Adds a socket by its number in `fds`. */
int pump_add(struct pump *p, int64_t index) {
  struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)index};
  return epoll_ctl(p->poll_fd, EPOLL_CTL_ADD, p->fds[index], &event);
}
