#include "base/suggestion.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* Further away than this a suggestion would be a guess. */
static size_t largest_distance(const char *wrong) { return strlen(wrong) < 2 ? 0 : 1 + strlen(wrong) / 3; }

static char letter_of(char c) { return c == '_' ? '-' : (char)tolower((unsigned char)c); }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* Levenshtein's distance, by rows. */
static size_t distance_of(const char *a, const char *b, size_t n) {
    size_t row[sizeof(((struct suggestion *)0)->name)];
    for (size_t j = 0; j <= n; j++) row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            const size_t changed = diagonal + (letter_of(a[i - 1]) != letter_of(b[j - 1]));
            diagonal = row[j];
            row[j] = smaller(changed, 1 + smaller(row[j], row[j - 1]));
        }
    }
    return row[n];
}

struct suggestion suggestion_of(const char *wrong) {
    return (struct suggestion){.wrong = wrong, .distance = largest_distance(wrong) + 1};
}

void suggestion_offer(struct suggestion *suggestion, const char *name, size_t n_bytes) {
    if (n_bytes >= sizeof suggestion->name || strlen(suggestion->wrong) >= sizeof suggestion->name) return;
    const size_t distance = distance_of(suggestion->wrong, name, n_bytes);
    if (distance >= suggestion->distance) return;
    suggestion->distance = distance;
    memcpy(suggestion->name, name, n_bytes);
    suggestion->name[n_bytes] = '\0';
}

const char *suggestion_text(const struct suggestion *suggestion, char room[128]) {
    if (!*suggestion->name) return "";
    snprintf(room, 128, "; did you mean %s?", suggestion->name);
    return room;
}
