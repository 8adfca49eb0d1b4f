/* clock.h - how long something takes. */
#ifndef FILTAGS_BASE_CLOCK_H
#define FILTAGS_BASE_CLOCK_H

/* Return the time in seconds from an arbitrary start, by a clock that nobody sets: only differences mean something. */
double clock_sec(void);

#endif
