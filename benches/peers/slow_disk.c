/* A disk that takes longer to sync: preloaded into a server, it lets every fdatasync do its work and
 * then sleep for FLUX_SYNC_DELAY_US more. Only the thread that syncs waits, as on slow flash; a tracer
 * that injects the delay would stop the other threads at each of their system calls too. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

int fdatasync(int fd)
{
    static int (*sync_data)(int);
    static long delay_us;
    if (!sync_data) {
        const char *delay = getenv("FLUX_SYNC_DELAY_US");
        delay_us = delay ? atol(delay) : 0;
        sync_data = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    }
    int result = sync_data(fd);
    usleep((useconds_t)delay_us);
    return result;
}
