// Makes calls on the files of one folder fail, or the process die, at a chosen place. Loaded with LD_PRELOAD into a test
// binary; see tests/it/store_crash.rs.
//
// FAULT_DIR    the folder; other files are left alone
// FAULT_CALLS  names of calls, separated by commas: write, sync, truncate, unlink
// FAULT_AT     the number of the call that is hit, from 1; 0: every call while the file FAULT_WHILE exists
// FAULT_LOG    a file outside that gets every write, truncation, sync and removal there, and what is said on standard output,
//              in order; see tests/it/store_power.rs
// FAULT_HOW    kill: die before the call; torn: write half, then die; otherwise an errno in digits

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long seen;

static const char *inside(const char *path) {
    const char *dir = getenv("FAULT_DIR");
    if (!dir) return NULL;
    size_t n = strlen(dir);
    if (strncmp(path, dir, n) != 0) return NULL;
    // The folder itself has an empty name.
    return path[n] == '/' ? path + n + 1 : path[n] == 0 ? path + n : NULL;
}

// The file's name in the folder; none for others.
static const char *name_of(int fd, char path[PATH_MAX]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    if (n <= 0) return NULL;
    path[n] = 0;
    return inside(path);
}

static int ours(int fd) {
    char path[PATH_MAX];
    return name_of(fd, path) != NULL;
}

// What must happen to this call: 0 nothing, an errno, -1 die, -2 tear and die.
static int fault(const char *call) {
    const char *calls = getenv("FAULT_CALLS"), *how = getenv("FAULT_HOW"), *at = getenv("FAULT_AT");
    if (!calls || !how || !at || !strstr(calls, call)) return 0;
    if (atol(at) == 0) {
        const char *while_there = getenv("FAULT_WHILE");
        if (!while_there || access(while_there, F_OK) != 0) return 0;
    } else if (++seen != atol(at)) {
        return 0;
    }
    if (strcmp(how, "kill") == 0) return -1;
    if (strcmp(how, "torn") == 0) return -2;
    return atoi(how);
}

static void die(void) {
    raise(SIGKILL);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

// One entry: what, the name's length, the name, an offset, a size, the bytes.
static void note(char what, const char *name, unsigned long long at, const void *data, unsigned long long size) {
    static int log = -1;
    const char *path = getenv("FAULT_LOG");
    if (!path || !name) return;
    if (log < 0) log = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unsigned char length = (unsigned char)strlen(name);
    REAL(write)(log, &what, 1);
    REAL(write)(log, &length, 1);
    REAL(write)(log, name, length);
    REAL(write)(log, &at, sizeof at);
    REAL(write)(log, &size, sizeof size);
    if (data && size) REAL(write)(log, data, size);
}

static void note_fd(char what, int fd, unsigned long long at, const void *data, unsigned long long size) {
    char path[PATH_MAX];
    note(what, name_of(fd, path), at, data, size);
}

ssize_t write(int fd, const void *data, size_t size) {
    int f = ours(fd) ? fault("write") : 0;
    if (f == -2) REAL(write)(fd, data, size / 2);
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    ssize_t done = REAL(write)(fd, data, size);
    if (fd == 1) note('A', "", 0, data, size);
    else if (done > 0) note_fd('W', fd, (unsigned long long)(lseek(fd, 0, SEEK_CUR) - done), data, (unsigned long long)done);
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    int f = ours(fd) ? fault("write") : 0;
    if (f == -2) REAL(pwrite64)(fd, data, size / 2, at);
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    ssize_t done = REAL(pwrite64)(fd, data, size, at);
    if (done > 0) note_fd('W', fd, (unsigned long long)at, data, (unsigned long long)done);
    return done;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    return pwrite64(fd, data, size, at);
}

#define HIT(call) \
    int f = ours(fd) ? fault(call) : 0; \
    if (f < 0) die(); \
    if (f > 0) { errno = f; return -1; }

int fsync(int fd) {
    HIT("sync");
    int done = REAL(fsync)(fd);
    if (done == 0) note_fd('S', fd, 0, NULL, 0);
    return done;
}

int fdatasync(int fd) {
    HIT("sync");
    int done = REAL(fdatasync)(fd);
    if (done == 0) note_fd('S', fd, 0, NULL, 0);
    return done;
}

int ftruncate64(int fd, off64_t size) {
    HIT("truncate");
    note_fd('T', fd, (unsigned long long)size, NULL, 0);
    return REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

int unlink(const char *path) {
    int f = inside(path) ? fault("unlink") : 0;
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    note('U', inside(path), 0, NULL, 0);
    return REAL(unlink)(path);
}
