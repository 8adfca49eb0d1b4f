/* record_file.h - a file of records that only grows. Every record has checksums, so that damage is found before it is
 * used, and what a crash left unfinished at the end is dropped. docs/store.md has the format. */
#ifndef FILTAGS_STORE_RECORD_FILE_H
#define FILTAGS_STORE_RECORD_FILE_H

#include "base/hash.h"
#include "filtags.h"

struct record_file;

/* What a file of records is for. Its messages say so. */
struct record_kind {
    char name[16];      /* the file begins with it */
    const char *noun;   /* "a store" */
    const char *advice; /* what to do about a damaged one: "delete it to start anew" */
    const char *in_use; /* what is to be said of one that another process has open */
};

/* What a record says of itself. */
struct record {
    uint32_t type;    /* the caller's; see RECORD_SYNC */
    uint32_t profile; /* the caller's */
    uint8_t key[HASH_DIGEST_BYTES]; /* the caller's */
    uint64_t n_bytes; /* of its contents */
    uint64_t offset;  /* in the file: what record_file_read wants */
};

/* A list of what is in a file. Zero-initialise it. */
struct record_list {
    struct record *records; /* [n] */
    size_t n, capacity;
};

FILTAGS_MUST_USE filtags_status record_list_add(struct record_list *list, const struct record *record);

/* Empty the list, and give its memory back. */
void record_list_free(struct record_list *list);

enum { RECORD_SYNC = 0 }; /* type of the file's own records: whatever comes before has reached the disk */

/* Told of every record of a file that is opened, in their order; it may read them. A failure ends the opening. */
struct record_visitor {
    void *context;
    filtags_status (*found)(void *context, struct record_file *file, const struct record *record);
};

/* Open a file to read and to append, create it where there is none, and lock it until it is closed. *n_dropped_bytes
 * gets the length of an unfinished end, which is cut off. IO: it can't be opened or created, or another process has it
 * open. FORMAT: it is something else, of another version or byte order, or damaged (the place is named): nothing is
 * changed then. */
FILTAGS_MUST_USE filtags_status record_file_open(const char *path, const struct record_kind *kind,
                                                 const struct record_visitor *visitor, uint64_t *n_dropped_bytes,
                                                 struct record_file **file);

/* Open a file of records to read: nothing is created or changed. It may be open so in several processes, but not where
 * one has it open to append. */
FILTAGS_MUST_USE filtags_status record_file_open_to_read(const char *path, const struct record_kind *kind,
                                                         const struct record_visitor *visitor,
                                                         uint64_t *n_unfinished_bytes, struct record_file **file);

/* Read a record's contents, of n_bytes, which are checked. Threads may call it at once. FORMAT: damaged. IO. */
FILTAGS_MUST_USE filtags_status record_file_read(struct record_file *file, uint64_t offset, void *contents,
                                                 uint64_t n_bytes);

/* Append a record of record->type, profile, key and n_bytes; record->offset is set. One thread at a time. After a
 * failure (IO: the disk is full) the file is as it was. */
FILTAGS_MUST_USE filtags_status record_file_append(struct record_file *file, struct record *record,
                                                   const void *contents);

/* Where the first record begins, and where the one behind a record does. */
uint64_t record_file_start(void);
uint64_t record_file_next(const struct record *record);

/* Length of the file, up to the end of its last record. */
uint64_t record_file_end(const struct record_file *file);

/* Cut off all records from end_bytes on, which is where one of them begins. IO. */
FILTAGS_MUST_USE filtags_status record_file_cut(struct record_file *file, uint64_t end_bytes);

/* Wait until everything is on the disk. Nothing may be appended meanwhile. IO: it didn't get there. */
FILTAGS_MUST_USE filtags_status record_file_sync(struct record_file *file);

/* Wait until everything is on the disk, and close. IO: it didn't get there. NULL: nothing happens. */
FILTAGS_MUST_USE filtags_status record_file_close(struct record_file *file);

/* Close without waiting for the disk. NULL: nothing happens. */
void record_file_abandon(struct record_file *file);

/* Remove a file of records, damaged or not, if there is one, unless another process has it open (IO). */
FILTAGS_MUST_USE filtags_status record_file_remove(const char *path, const struct record_kind *kind, bool *was_there);

#endif
