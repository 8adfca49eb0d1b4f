/* sandbox.h - what a process gives up before it reads what it doesn't trust. For filtags-read, not for the library. */
#ifndef FILTAGS_BASE_SANDBOX_H
#define FILTAGS_BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* Under a sanitizer there is neither the limit of memory (it maps terabytes) nor the filter of system calls. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANDBOX_IS_LOOSE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define SANDBOX_IS_LOOSE 1
#endif
#endif
#ifndef SANDBOX_IS_LOOSE
#define SANDBOX_IS_LOOSE 0
#endif

/* Enter it, for good: at most memory_bytes of address space beside what is mapped already, no file grows, no descriptor
 * is made, no core is dumped; and, where the kernel and the build have seccomp, no system call but those that compute,
 * get memory, and read and write on descriptor talk_fd. *is_filtered: whether that holds. False: a limit can't be
 * set. */
bool sandbox_enter(size_t memory_bytes, int talk_fd, bool *is_filtered);

#endif
