#include "base/text.h"

#include <string.h>

size_t utf8_sequence_length(const char *bytes, size_t n_bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    if (n_bytes == 0) return 0;
    if (b[0] < 0x80) return 1;
    size_t n = b[0] >= 0xc2 && b[0] < 0xe0 ? 2 : b[0] >= 0xe0 && b[0] < 0xf0 ? 3 : b[0] >= 0xf0 && b[0] < 0xf5 ? 4 : 0;
    if (n == 0 || n > n_bytes) return 0;
    for (size_t i = 1; i < n; i++) {
        if ((b[i] & 0xc0) != 0x80) return 0;
    }
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90)) return 0;   /* overlong */
    if ((b[0] == 0xed && b[1] >= 0xa0) || (b[0] == 0xf4 && b[1] >= 0x90)) return 0; /* surrogate; past the end */
    return n;
}

void text_append_count(struct buffer *to, const char *before, unsigned long long n, const char *noun) {
    buffer_printf(to, "%s%llu %s%s", before, n, noun, n == 1 ? "" : text_ends_with(noun, "s") ? "es" : "s");
}

bool text_ends_with(const char *text, const char *ending) {
    size_t n_text = strlen(text), n_ending = strlen(ending);
    return n_text >= n_ending && strcmp(text + n_text - n_ending, ending) == 0;
}

bool utf8_is_valid(const char *bytes, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes;) {
        size_t n = utf8_sequence_length(bytes + i, n_bytes - i);
        if (n == 0) return false;
        i += n;
    }
    return true;
}

void text_append_code(struct buffer *to, uint32_t code) {
    unsigned char bytes[4];
    size_t n = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned char heads[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; code >>= 6) bytes[i] = (unsigned char)(0x80 | (code & 0x3f));
    bytes[0] = (unsigned char)(heads[n] | code);
    buffer_append(to, bytes, n);
}

void text_append_fsdecoded(struct buffer *to, const char *bytes, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes;) {
        size_t n = utf8_sequence_length(bytes + i, n_bytes - i);
        if (n) {
            buffer_append(to, bytes + i, n);
            i += n;
        } else { /* U+DC80..U+DCFF in three bytes */
            unsigned char byte = (unsigned char)bytes[i++];
            unsigned char surrogate[3] = {0xed, (unsigned char)(0xb0 | (byte >> 6)),
                                          (unsigned char)(0x80 | (byte & 0x3f))};
            buffer_append(to, surrogate, sizeof surrogate);
        }
    }
}

void text_append_fsencoded(struct buffer *to, const char *bytes, size_t n_bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    for (size_t i = 0; i < n_bytes;) {
        if (n_bytes - i >= 3 && b[i] == 0xed && (b[i + 1] == 0xb2 || b[i + 1] == 0xb3) && (b[i + 2] & 0xc0) == 0x80) {
            char byte = (char)(((b[i + 1] & 3) << 6) | (b[i + 2] & 0x3f));
            buffer_append(to, &byte, 1);
            i += 3;
        } else {
            buffer_append(to, bytes + i++, 1);
        }
    }
}
