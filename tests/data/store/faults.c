// Makes calls on the files of one folder fail, or the process die, at a chosen place. Loaded with LD_PRELOAD into a test
// binary; see tests/it/store_crash.rs.
//
// FAULT_DIR    the folder; other files are left alone
// FAULT_CALLS  names of calls, separated by commas: write, sync, truncate, unlink
// FAULT_AT     the number of the call that is hit, from 1; 0: every call while the file FAULT_WHILE exists
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
    return strncmp(path, dir, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

// Is the file in the folder?
static int ours(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return 0;
    path[n] = 0;
    return inside(path) != NULL;
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

ssize_t write(int fd, const void *data, size_t size) {
    int f = ours(fd) ? fault("write") : 0;
    if (f == -2) REAL(write)(fd, data, size / 2);
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    return REAL(write)(fd, data, size);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    int f = ours(fd) ? fault("write") : 0;
    if (f == -2) REAL(pwrite64)(fd, data, size / 2, at);
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    return REAL(pwrite64)(fd, data, size, at);
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
    return REAL(fsync)(fd);
}

int fdatasync(int fd) {
    HIT("sync");
    return REAL(fdatasync)(fd);
}

int ftruncate64(int fd, off64_t size) {
    HIT("truncate");
    return REAL(ftruncate64)(fd, size);
}

int ftruncate(int fd, off_t size) {
    return ftruncate64(fd, size);
}

int unlink(const char *path) {
    int f = inside(path) ? fault("unlink") : 0;
    if (f < 0) die();
    if (f > 0) { errno = f; return -1; }
    return REAL(unlink)(path);
}
