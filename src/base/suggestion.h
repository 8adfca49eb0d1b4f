/* suggestion.h - "did you mean": the name that is nearest to a wrong one. */
#ifndef FILTAGS_BASE_SUGGESTION_H
#define FILTAGS_BASE_SUGGESTION_H

#include <stddef.h>

struct suggestion {
    const char *wrong; /* the caller's */
    size_t distance;   /* of name; before there is one, the first that is too far away */
    char name[80];     /* "": none is near */
};

/* Begin to look for what was meant. */
struct suggestion suggestion_of(const char *wrong);

/* Take the name, of n_bytes, if it is the nearest so far: with the fewest letters changed, added or left out, and not
 * so many that it would be a guess. Case doesn't count, and '_' is '-'. */
void suggestion_offer(struct suggestion *suggestion, const char *name, size_t n_bytes);

/* Return what to end a message with: "; did you mean NAME?", or "" where nothing is near. In room. */
const char *suggestion_text(const struct suggestion *suggestion, char room[128]);

#endif
