/* Counts a server's system calls on sockets, when it is preloaded: one increment each, in memory shared with the
 * harness (the file that BENCH_COUNTS names: three 64-bit counters, of writes, reads and waits). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { WRITES, READS, WAITS, COUNTERS };

static uint64_t own[COUNTERS];
static uint64_t *counts = own;

__attribute__((constructor)) static void attach(void) {
  const char *path = getenv("BENCH_COUNTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *shared = mmap(NULL, sizeof own, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (shared != MAP_FAILED) counts = shared;
}

#define COUNTED(which, result, name, parameters, arguments)                        \
  result name parameters {                                                         \
    static result(*next) parameters;                                               \
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, #name);                          \
    counts[which]++;                                                               \
    return next arguments;                                                         \
  }

COUNTED(WRITES, ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
COUNTED(WRITES, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
COUNTED(WRITES, ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags))
COUNTED(WRITES, ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags))
COUNTED(WRITES, ssize_t, sendto,
        (int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length),
        (fd, data, size, flags, to, length))
COUNTED(READS, ssize_t, read, (int fd, void *data, size_t size), (fd, data, size))
COUNTED(READS, ssize_t, readv, (int fd, const struct iovec *parts, int count), (fd, parts, count))
COUNTED(READS, ssize_t, recv, (int fd, void *data, size_t size, int flags), (fd, data, size, flags))
COUNTED(READS, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
COUNTED(READS, ssize_t, recvfrom,
        (int fd, void *data, size_t size, int flags, struct sockaddr *from, socklen_t *length),
        (fd, data, size, flags, from, length))
COUNTED(WAITS, int, epoll_wait, (int fd, struct epoll_event *events, int count, int timeout),
        (fd, events, count, timeout))
COUNTED(WAITS, int, epoll_pwait,
        (int fd, struct epoll_event *events, int count, int timeout, const sigset_t *mask),
        (fd, events, count, timeout, mask))
COUNTED(WAITS, int, poll, (struct pollfd *fds, nfds_t count, int timeout), (fds, count, timeout))
