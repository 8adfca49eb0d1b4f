/* rehearsal.h - try in a child process what may bring the process down.
 *
 * libhdf5 can crash or hang on damaged metadata. What a child process has survived on the same file is safe to do
 * again here, where its results are wanted. */
#ifndef FILTAGS_BASE_REHEARSAL_H
#define FILTAGS_BASE_REHEARSAL_H

enum rehearsal_outcome {
    REHEARSAL_SURVIVED,
    REHEARSAL_CRASHED,
    REHEARSAL_HUNG,      /* took more than limit_sec of CPU time, or six times that by the clock */
    REHEARSAL_IMPOSSIBLE /* no child process could be made: nothing is known */
};

/* Call act(context) in a child process, where stdout and stderr go nowhere, and wait for it. Its return values and
 * changes are lost. Other threads don't exist in the child: act may not wait for them. */
enum rehearsal_outcome rehearse(void (*act)(void *context), void *context, unsigned limit_sec);

#endif
