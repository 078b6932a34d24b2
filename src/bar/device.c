/* SPDX-License-Identifier: MIT */
/* device.c - which terminal a descriptor leads to; see device.h */
#include "bar/device.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 3.5: the number of the terminal that is behind /dev/tty or /dev/console, too. */
static int device_number(int fd, unsigned *number)
{
#ifdef TIOCGDEV
    /* The raw call, because libcs do not agree on the type of ioctl()'s request. */
    return syscall(SYS_ioctl, fd, TIOCGDEV, number) == 0;
#else
    (void)fd;
    (void)number;
    return 0;
#endif
}

int many_device_of_(int fd, many_device_ *device)
{
    const int saved = errno;
    struct stat status;
    unsigned number = 0;

    memset(device, 0, sizeof *device);
    if (fstat(fd, &status) != 0) {
        errno = saved;
        return 0;
    }
    if (S_ISCHR(status.st_mode) && device_number(fd, &number))
        *device = (many_device_){1, number, 0};
    else
        *device = (many_device_){2, (uint64_t)status.st_dev, (uint64_t)status.st_ino};
    errno = saved;
    return 1;
}

int many_device_same_(const many_device_ *one, const many_device_ *other)
{
    return one->kind == other->kind && one->number == other->number && one->inode == other->inode;
}

many_size_ many_device_size_(int fd)
{
    const int saved = errno;
    struct winsize size;
    many_size_ found = {0, 0};

    if (ioctl(fd, TIOCGWINSZ, &size) == 0)
        found = (many_size_){size.ws_col, size.ws_row};
    errno = saved;
    return found;
}
