/* archive.h - reading zip archives, by libzip. Nothing is ever written, and no entry's name is used as a path here. */
#ifndef FILTAGS_BASE_ARCHIVE_H
#define FILTAGS_BASE_ARCHIVE_H

#include "base/buffer.h"
#include "filtags.h"

struct archive;

/* Open an archive file. IO: cannot be opened. FORMAT: no zip archive, or a damaged one. MEMORY. */
FILTAGS_MUST_USE filtags_status archive_open(const char *path, struct archive **archive);

/* Open an archive that is in memory. bytes are not copied and must outlive the archive; name stands for the file
 * in messages. FORMAT, MEMORY. */
FILTAGS_MUST_USE filtags_status
archive_open_bytes(const void *bytes, size_t size_bytes, const char *name, struct archive **archive);

/* Entries, folders (their names end in '/') included. */
size_t archive_n_entries(const struct archive *archive);

/* Name of entry index in [0, n_entries), raw bytes as they are in the archive. Valid while the archive is. */
const char *archive_entry_name(const struct archive *archive, size_t index);

/* Find an entry by its exact name; false: there is none. */
bool archive_find_entry(const struct archive *archive, const char *name, size_t *index);

/* Unpack an entry into an empty buffer, which the caller frees; its checksum is verified. FORMAT: damaged.
 * UNSUPPORTED: encrypted, or packed by a method that libzip lacks. MEMORY: more than limit_bytes when unpacked. */
FILTAGS_MUST_USE filtags_status
archive_read_entry(struct archive *archive, size_t index, size_t limit_bytes, struct buffer *contents);

void archive_close(struct archive *archive);

#endif
