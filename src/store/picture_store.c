#include "store/picture_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "store/record_file.h"

enum record_type {
    RECORD_PROFILE = 1,     /* contents: its text; key: the text's SHA-256; profile: its number, from 1 */
    RECORD_ACTIVATIONS = 2, /* contents: [n_filters] filtags_activation; key: the picture */
    RECORD_TOP = 3          /* contents: struct stored_top; key: the picture */
};

static const struct record_kind store_kind = {
    "filTags store\r\n", "a store", "delete it to start anew",
    "another run is using this store: wait for its end, or take another"};

/* Half of the SHA-256 tells 10^9 pictures apart as surely as all of it. */
enum { PREFIX_BYTES = 16 };

struct entry {
    uint8_t prefix[PREFIX_BYTES];
    uint64_t activations; /* offset of the record; 0: none */
    uint64_t top;
};

struct picture_store {
    char *path;
    struct record_file *file;
    size_t n_filters, n_outputs;
    uint8_t profile_key[HASH_DIGEST_BYTES];
    uint32_t profile;    /* number; 0: the file doesn't have it yet */
    uint32_t n_profiles; /* of the file */
    pthread_mutex_t lock; /* of all below, and of appending */
    struct entry *entries; /* [n_entries] */
    size_t n_entries, entries_capacity;
    uint32_t *slots; /* [n_slots] hash table of the entries: place + 1, or 0 */
    size_t n_slots;  /* a power of two, at least twice n_entries */
};

/* ---------------------------------------------------------------- index */

static size_t first_slot(const struct picture_store *store, const uint8_t *picture) {
    uint64_t bits;
    memcpy(&bits, picture, sizeof bits);
    return (size_t)bits & (store->n_slots - 1);
}

/* The slot of a picture, or the empty one where it would be. */
static uint32_t *find_slot(const struct picture_store *store, const uint8_t *picture) {
    size_t i = first_slot(store, picture);
    while (store->slots[i] && memcmp(store->entries[store->slots[i] - 1].prefix, picture, PREFIX_BYTES) != 0)
        i = (i + 1) & (store->n_slots - 1);
    return &store->slots[i];
}

static filtags_status grow_slots(struct picture_store *store) {
    size_t n_slots = store->n_slots ? 2 * store->n_slots : 1024;
    uint32_t *slots = memory_new(n_slots, sizeof *slots);
    if (!slots) return FILTAGS_ERROR_MEMORY;
    free(store->slots);
    store->slots = slots;
    store->n_slots = n_slots;
    for (size_t i = 0; i < store->n_entries; i++) *find_slot(store, store->entries[i].prefix) = (uint32_t)(i + 1);
    return FILTAGS_OK;
}

/* The entry of a picture, made where there is none. */
static filtags_status get_entry(struct picture_store *store, const uint8_t *picture, struct entry **entry) {
    void *entries = store->entries;
    filtags_status status = FILTAGS_OK;
    if (2 * (store->n_entries + 1) > store->n_slots && (status = grow_slots(store))) return status;
    uint32_t *slot = find_slot(store, picture);
    if (!*slot) {
        if (memory_grow(&entries, &store->entries_capacity, store->n_entries + 1, sizeof *store->entries))
            return FILTAGS_ERROR_MEMORY;
        store->entries = entries;
        struct entry *added = &store->entries[store->n_entries++];
        *added = (struct entry){.activations = 0};
        memcpy(added->prefix, picture, PREFIX_BYTES);
        *slot = (uint32_t)store->n_entries;
    }
    *entry = &store->entries[*slot - 1];
    return FILTAGS_OK;
}

/* ---------------------------------------------------------------- opening */

static filtags_status refuse_record(const struct picture_store *store, const struct record *record,
                                    const char *expected) {
    return error_set(FILTAGS_ERROR_FORMAT, "%s: byte %llu: %s expected, found type %u, profile %u, %llu bytes",
                     store->path, (unsigned long long)record->offset, expected, (unsigned)record->type,
                     (unsigned)record->profile, (unsigned long long)record->n_bytes);
}

static filtags_status note_record(void *context, struct record_file *file, const struct record *record) {
    struct picture_store *store = context;
    struct entry *entry;
    (void)file;
    if (record->type == RECORD_PROFILE) {
        if (record->profile != ++store->n_profiles) return refuse_record(store, record, "the next profile");
        if (memcmp(record->key, store->profile_key, sizeof record->key) == 0) store->profile = record->profile;
        return FILTAGS_OK;
    }
    if (record->profile == 0 || record->profile > store->n_profiles)
        return refuse_record(store, record, "a record of one of the profiles before it");
    if (record->profile != store->profile) return FILTAGS_OK; /* another network's */
    size_t n_bytes = record->type == RECORD_ACTIVATIONS ? store->n_filters * sizeof(filtags_activation)
                     : record->type == RECORD_TOP       ? sizeof(struct stored_top)
                                                        : SIZE_MAX;
    if (record->n_bytes != n_bytes) return refuse_record(store, record, "activations or a prediction of this profile");
    filtags_status status = get_entry(store, record->key, &entry);
    if (!status) *(record->type == RECORD_ACTIVATIONS ? &entry->activations : &entry->top) = record->offset;
    return status;
}

filtags_status picture_store_open(const char *path, const char *profile, size_t n_filters, size_t n_outputs,
                                  uint64_t *n_dropped_bytes, struct picture_store **result) {
    struct picture_store *store = memory_new(1, sizeof *store);
    if (!store) return FILTAGS_ERROR_MEMORY;
    const struct record_visitor visitor = {store, note_record};
    pthread_mutex_init(&store->lock, NULL);
    store->n_filters = n_filters;
    store->n_outputs = n_outputs;
    store->path = memory_copy_string(path);
    filtags_status status = store->path ? grow_slots(store) : FILTAGS_ERROR_MEMORY;
    if (!status) status = hash_bytes(profile, strlen(profile), store->profile_key);
    if (!status) status = record_file_open(path, &store_kind, &visitor, n_dropped_bytes, &store->file);
    if (!status && !store->profile) {
        struct record record = {RECORD_PROFILE, ++store->n_profiles, {0}, strlen(profile), 0};
        memcpy(record.key, store->profile_key, sizeof record.key);
        status = record_file_append(store->file, &record, profile);
        store->profile = store->n_profiles;
    }
    if (!status) {
        *result = store;
        return FILTAGS_OK;
    }
    char *message = memory_copy_string(filtags_error_message());
    if (picture_store_close(store) && message) status = error_set(status, "%s", message); /* the first one counts */
    free(message);
    return status;
}

size_t picture_store_n_pictures(const struct picture_store *store) { return store->n_entries; }

filtags_status picture_store_close(struct picture_store *store) {
    if (!store) return FILTAGS_OK;
    filtags_status status = record_file_close(store->file);
    pthread_mutex_destroy(&store->lock);
    free(store->path);
    free(store->entries);
    free(store->slots);
    free(store);
    return status;
}

/* ---------------------------------------------------------------- pictures */

/* A right checksum doesn't make it ours: nothing may index past the network's outputs. */
static filtags_status read_top(struct picture_store *store, uint64_t offset, struct stored_top *top) {
    filtags_status status = record_file_read(store->file, offset, top, sizeof *top);
    if (status) return status;
    bool is_good = top->n <= STORE_MOST_TOP && top->n <= store->n_outputs;
    for (uint32_t i = 0; is_good && i < top->n; i++) is_good = top->items[i].output < store->n_outputs;
    if (is_good) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: byte %llu: the prediction of a network of %zu outputs expected",
                     store->path, (unsigned long long)offset, store->n_outputs);
}

filtags_status picture_store_find(struct picture_store *store, const uint8_t picture[HASH_DIGEST_BYTES],
                                  filtags_activation *activations, struct stored_top *top, bool *is_found) {
    struct entry entry = {.activations = 0};
    pthread_mutex_lock(&store->lock);
    uint32_t place = *find_slot(store, picture);
    if (place) entry = store->entries[place - 1];
    pthread_mutex_unlock(&store->lock);
    bool has_all = entry.activations && (!top || entry.top);
    filtags_status status = FILTAGS_OK;
    if (has_all)
        status = record_file_read(store->file, entry.activations, activations, store->n_filters * sizeof *activations);
    if (!status && has_all && top) status = read_top(store, entry.top, top);
    if (!status) *is_found = has_all;
    return status;
}

static filtags_status append(struct picture_store *store, enum record_type type, const uint8_t *picture,
                             const void *contents, size_t n_bytes, uint64_t *offset) {
    struct record record = {type, store->profile, {0}, n_bytes, 0};
    if (*offset) return FILTAGS_OK;
    memcpy(record.key, picture, sizeof record.key);
    filtags_status status = record_file_append(store->file, &record, contents);
    if (!status) *offset = record.offset;
    return status;
}

filtags_status picture_store_add(struct picture_store *store, const uint8_t picture[HASH_DIGEST_BYTES],
                                 const filtags_activation *activations, const struct stored_top *top) {
    struct entry *entry;
    pthread_mutex_lock(&store->lock);
    filtags_status status = get_entry(store, picture, &entry);
    if (!status)
        status = append(store, RECORD_ACTIVATIONS, picture, activations, store->n_filters * sizeof *activations,
                        &entry->activations);
    if (!status && top) status = append(store, RECORD_TOP, picture, top, sizeof *top, &entry->top);
    pthread_mutex_unlock(&store->lock);
    return status;
}
