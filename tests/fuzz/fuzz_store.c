/* Any bytes as the file of --store are either refused by a message that names the file, or give pictures that can be
 * looked up and added to. Where the first byte is odd the checksums are put right first: else every change would be
 * found by them, and nothing behind them reached. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "fuzz.h"
#include "store/picture_store.h"

enum { START_BYTES = 64, HEADER_BYTES = 64, CHECKSUM_BYTES = 16, N_FILTERS = 2, N_OUTPUTS = 4 };

static void put_digest(uint8_t *to, size_t n_bytes, const uint8_t *from, size_t n_from) {
    uint8_t digest[HASH_DIGEST_BYTES];
    MUST(hash_bytes(from, n_from, digest) == FILTAGS_OK);
    memcpy(to, digest, n_bytes);
}

/* docs/store.md has the format. */
static void repair(uint8_t *bytes, size_t size) {
    if (size < START_BYTES) return;
    put_digest(bytes + 32, 32, bytes, 32);
    for (size_t at = START_BYTES; size - at >= HEADER_BYTES + CHECKSUM_BYTES;) {
        uint64_t n_bytes;
        memcpy(&n_bytes, bytes + at + 16, sizeof n_bytes);
        put_digest(bytes + at + 56, 8, bytes + at, 56);
        if (n_bytes > size) return;
        size_t n_hashed = HEADER_BYTES + (size_t)(n_bytes + 7) / 8 * 8;
        if (n_hashed + CHECKSUM_BYTES > size - at) return;
        put_digest(bytes + at + n_hashed, CHECKSUM_BYTES, bytes + at, n_hashed);
        at += n_hashed + CHECKSUM_BYTES;
    }
}

/* The seeds' pictures have keys of one repeated byte. */
static size_t look_up(struct picture_store *store) {
    size_t n_found = 0;
    for (int byte = 0; byte < 4; byte++) {
        uint8_t picture[HASH_DIGEST_BYTES];
        filtags_activation activations[N_FILTERS];
        struct stored_top top = {0};
        bool is_found = false;
        memset(picture, byte, sizeof picture);
        if (picture_store_find(store, picture, activations, &top, &is_found) == FILTAGS_OK && is_found) {
            MUST(top.n <= STORE_MOST_TOP);
            for (uint32_t i = 0; i < top.n; i++) MUST(top.items[i].output < N_OUTPUTS);
            n_found++;
        }
        if (is_found) continue;
        top.n = 1;
        memset(activations, 0, sizeof activations);
        if (picture_store_find(store, picture, activations, NULL, &is_found) == FILTAGS_OK && !is_found)
            MUST(picture_store_add(store, picture, activations, &top) == FILTAGS_OK);
    }
    return n_found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct picture_store *store = NULL;
    uint64_t n_dropped_bytes = 0;
    if (size < 1) return 0;
    uint8_t *bytes = malloc(size);
    MUST(bytes != NULL);
    memcpy(bytes, data, size);
    if (data[0] % 2) repair(bytes + 1, size - 1);
    const char *path = fuzz_file("store", bytes + 1, size - 1);
    free(bytes);
    if (picture_store_open(path, "fuzz", N_FILTERS, N_OUTPUTS, &n_dropped_bytes, &store)) {
        MUST(!store && strncmp(filtags_error_message(), path, strlen(path)) == 0);
        return 0;
    }
    MUST(n_dropped_bytes <= size);
    look_up(store);
    size_t n = picture_store_n_pictures(store);
    MUST(picture_store_close(store) == FILTAGS_OK);
    MUST(picture_store_open(path, "fuzz", N_FILTERS, N_OUTPUTS, &n_dropped_bytes, &store) == FILTAGS_OK);
    MUST(n_dropped_bytes == 0 && picture_store_n_pictures(store) == n);
    MUST(picture_store_close(store) == FILTAGS_OK);
    return 0;
}
