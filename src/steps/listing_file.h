/* listing_file.h - tags as text, one filter a line (docs/listing.md): what decode writes, and the form in which the
 * published scripts' results are. */
#ifndef FILTAGS_STEPS_LISTING_FILE_H
#define FILTAGS_STEPS_LISTING_FILE_H

#include "steps/tag_file.h"

struct listing_file {
    struct tag_file tags; /* as tag_file_open gives them; labels without the blanks around them */
    char **layer_names;   /* [tags.table.n_layers]; NULL: the listing names no layers */
};

enum { LISTING_LIMIT_BYTES = 1 << 30 };

/* Read the tags of the values k_q (all where k_q is empty) in a listing; what it lacks is left out with a warning by
 * step_log, as by tag_file_open. FORMAT: malformed (file, line, expected and found). DATA: nothing left. UNSUPPORTED:
 * more than LISTING_LIMIT_BYTES. IO, MEMORY. */
FILTAGS_MUST_USE filtags_status listing_file_open(struct step *step, const char *path, const struct number_list *k_q,
                                                  struct listing_file *listing);
/* The same from memory, for tests and fuzzing; name stands for the path in messages. */
FILTAGS_MUST_USE filtags_status listing_memory_open(struct step *step, const char *bytes, size_t n_bytes,
                                                    const char *name, const struct number_list *k_q,
                                                    struct listing_file *listing);
void listing_file_close(struct listing_file *listing);

/* Write tags as a listing. labels: [tags->n_labels] what to write for them; layer_names: [n_layers] or NULL.
 * IO: the disk is full; path is for the message. MEMORY. */
FILTAGS_MUST_USE filtags_status listing_write(FILE *stream, const char *path, const struct tag_file *tags,
                                              const char *const *labels, const char *const *layer_names);

#endif
