/* The kernel's floor: a WebSocket server that does nothing but what the kernel asks of everybody.
 *
 *   floor PROGRAM --port PORT          PROGRAM is fanout, reply or echo
 *   floor fanout-joined --port PORT    what one wake-up brought is written to each client in one call
 *
 * One epoll loop, one `send` for each client and message, the frame made once. It checks nothing: the request's key is
 * not hashed, a frame that is not final, masked and shorter than 64 KiB ends the program, and what a socket does not
 * take at once is written in a blocking way. A real server cannot be this careless, so it cannot be this fast.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CLIENTS 16384
#define BUFFER (1 << 18)

struct client { int fd, is_open, rest; size_t place; unsigned char *data; };

static struct client *clients[MAX_CLIENTS];
static size_t client_count;
static int joins, replies, echoes;
static unsigned char batch[BUFFER];
static size_t batched;

static void put(int fd, const unsigned char *data, size_t size) {
  while (size) {
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return;
      struct pollfd wait = {fd, POLLOUT, 0};
      poll(&wait, 1, 1000);
      continue;
    }
    data += sent;
    size -= (size_t)sent;
  }
}

static void flush_batch(void) {
  for (size_t i = 0; batched && i < client_count; i++) put(clients[i]->fd, batch, batched);
  batched = 0;
}

static void push(struct client *from, const unsigned char *payload, size_t size, const unsigned char *key) {
  unsigned char *frame = batch + batched;
  size_t head = size < 126 ? 2 : 4;
  frame[0] = 0x81;
  frame[1] = size < 126 ? (unsigned char)size : 126;
  if (head == 4) { frame[2] = (unsigned char)(size >> 8); frame[3] = (unsigned char)size; }
  for (size_t i = 0; i < size; i++) frame[head + i] = payload[i] ^ key[i & 3];
  if (echoes) { put(from->fd, frame, head + size); return; }
  batched += head + size;
  if (!joins || batched > BUFFER - 70000) flush_batch();
  if (replies) put(from->fd, (const unsigned char *)"\x81\x02ok", 4);
}

static void leave(struct client *c, int poll_fd) {
  epoll_ctl(poll_fd, EPOLL_CTL_DEL, c->fd, NULL);
  close(c->fd);
  if (c->is_open && !echoes) {
    clients[c->place] = clients[--client_count];
    clients[c->place]->place = c->place;
  }
  free(c->data);
  free(c);
}

static int receive(struct client *c) {
  ssize_t got = recv(c->fd, c->data + c->rest, BUFFER - (size_t)c->rest, 0);
  if (got <= 0) return got < 0 && errno == EAGAIN;
  unsigned char *at = c->data, *end = c->data + c->rest + got;
  if (!c->is_open) {
    unsigned char *head = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (head) {
      static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                   "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
      put(c->fd, (const unsigned char *)answer, sizeof answer - 1);
      c->is_open = 1;
      if (!echoes) { c->place = client_count; clients[client_count++] = c; }
      at = head + 4;
    }
  }
  while (c->is_open && end - at >= 6) {
    size_t size = at[1] & 0x7F, head = 2;
    if (size == 126) { size = (size_t)(at[2] << 8 | at[3]); head = 4; }
    if (size == 127) exit(3);
    if ((size_t)(end - at) < head + 4 + size) break;
    if (at[0] == 0x81) push(c, at + head + 4, size, at + head);
    at += head + 4 + size;
  }
  c->rest = (int)(end - at);
  memmove(c->data, at, (size_t)c->rest);
  return 1;
}

int main(int argc, char **argv) {
  if (argc < 4) return 2;
  prctl(PR_SET_PDEATHSIG, SIGTERM); /* the harness has gone, however it went */
  joins = strstr(argv[1], "joined") != NULL;
  replies = strstr(argv[1], "reply") != NULL;
  echoes = strstr(argv[1], "echo") != NULL;
  int listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1, poll_fd = epoll_create1(0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[3]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listening, (struct sockaddr *)&address, sizeof address) || listen(listening, 4096)) return 1;
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[1024];
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, listening, &event);
  for (;;) {
    int count = epoll_wait(poll_fd, events, 1024, -1);
    for (int i = 0; i < count; i++) {
      struct client *c = events[i].data.ptr;
      if (c) {
        if (!receive(c)) leave(c, poll_fd);
        continue;
      }
      int fd;
      while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        c = calloc(1, sizeof *c);
        c->fd = fd;
        c->data = malloc(BUFFER);
        event.data.ptr = c;
        epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
      }
    }
    flush_batch();
  }
}
