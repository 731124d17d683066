/* Loaded before libc: counts the calls that change files, and ends the process before one of them, or lets all from one
 * on fail as on a full disk. Writes to standard streams, pipes and sockets are not counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <stdio.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, END = 1, FULL = 2 };

static int armed, mode;
static long at;
static long *counter;

void faults_arm(int new_mode, long new_at, long *new_counter) {
    mode = new_mode;
    at = new_at;
    counter = new_counter;
    armed = 1;
}

/* 1 if the call is to fail. `grows`: whether it needs space on the disk. exit_group ends the process like SIGKILL does,
 * without any handler; a process that is number 1 of its namespace can't kill itself. */
static int step(int grows) {
    if (!armed) return 0;
    long number = __sync_add_and_fetch(counter, 1);
    if (mode == END && number == at) syscall(SYS_exit_group, 137);
    if (mode == FULL && number >= at && grows) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

static int regular(int file) {
    struct stat found;
    return armed && file > 2 && fstat(file, &found) == 0 && S_ISREG(found.st_mode);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

#define OPEN(name, parameters, arguments)                                                              \
    int name parameters {                                                                              \
        mode_t permissions = 0;                                                                        \
        if (flags & (O_CREAT | O_TMPFILE)) {                                                           \
            va_list rest;                                                                              \
            va_start(rest, flags);                                                                     \
            permissions = va_arg(rest, mode_t);                                                        \
            va_end(rest);                                                                              \
        }                                                                                              \
        if ((flags & (O_CREAT | O_TRUNC)) || (flags & O_TMPFILE) == O_TMPFILE) {                       \
            if (step(flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)) return -1;                  \
        }                                                                                              \
        return REAL(name) arguments;                                                                   \
    }
OPEN(open, (const char *path, int flags, ...), (path, flags, permissions))
OPEN(open64, (const char *path, int flags, ...), (path, flags, permissions))
OPEN(openat, (int folder, const char *path, int flags, ...), (folder, path, flags, permissions))
OPEN(openat64, (int folder, const char *path, int flags, ...), (folder, path, flags, permissions))

#define WRITE(type, name, parameters, arguments)                                                       \
    type name parameters { return regular(file) && step(1) ? -1 : REAL(name) arguments; }
WRITE(ssize_t, write, (int file, const void *data, size_t size), (file, data, size))
WRITE(ssize_t, pwrite, (int file, const void *data, size_t size, off_t place), (file, data, size, place))
WRITE(ssize_t, pwrite64, (int file, const void *data, size_t size, off64_t place), (file, data, size, place))
WRITE(ssize_t, writev, (int file, const struct iovec *parts, int count), (file, parts, count))
WRITE(ssize_t, sendfile, (int file, int from, off_t *place, size_t size), (file, from, place, size))
WRITE(ssize_t, sendfile64, (int file, int from, off64_t *place, size_t size), (file, from, place, size))
WRITE(int, ftruncate, (int file, off_t size), (file, size))
WRITE(int, ftruncate64, (int file, off64_t size), (file, size))

int posix_fallocate(int file, off_t place, off_t size) {
    return step(1) ? ENOSPC : REAL(posix_fallocate)(file, place, size);
}
int posix_fallocate64(int file, off64_t place, off64_t size) {
    return step(1) ? ENOSPC : REAL(posix_fallocate64)(file, place, size);
}

#define CHANGE(name, grows, parameters, arguments)                                                     \
    int name parameters { return step(grows) ? -1 : REAL(name) arguments; }
CHANGE(fsync, 0, (int file), (file))
CHANGE(fdatasync, 0, (int file), (file))
CHANGE(rename, 0, (const char *from, const char *to), (from, to))
CHANGE(renameat, 0, (int a, const char *from, int b, const char *to), (a, from, b, to))
CHANGE(renameat2, 0, (int a, const char *from, int b, const char *to, unsigned int how), (a, from, b, to, how))
CHANGE(link, 1, (const char *from, const char *to), (from, to))
CHANGE(linkat, 1, (int a, const char *from, int b, const char *to, int how), (a, from, b, to, how))
CHANGE(unlink, 0, (const char *path), (path))
CHANGE(unlinkat, 0, (int folder, const char *path, int how), (folder, path, how))
CHANGE(rmdir, 0, (const char *path), (path))
CHANGE(mkdir, 1, (const char *path, mode_t permissions), (path, permissions))
CHANGE(mkdirat, 1, (int folder, const char *path, mode_t permissions), (folder, path, permissions))
