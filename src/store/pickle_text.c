#include "store/pickle_text.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

bool pickle_text_is_utf8(const char *bytes, size_t n_bytes) {
    const unsigned char *b = (const unsigned char *)bytes;
    for (size_t i = 0; i < n_bytes;) {
        size_t n = utf8_sequence_length(bytes + i, n_bytes - i);
        bool is_surrogate = n_bytes - i >= 3 && b[i] == 0xed && (b[i + 1] & 0xe0) == 0xa0 && (b[i + 2] & 0xc0) == 0x80;
        if (n == 0 && is_surrogate) n = 3;
        if (n == 0) return false;
        i += n;
    }
    return true;
}

bool pickle_text_parse_int(const char *text, size_t n_bytes, int64_t *value) {
    bool is_negative = n_bytes > 0 && text[0] == '-';
    size_t i = n_bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    if (n_bytes > 0 && text[n_bytes - 1] == 'L') n_bytes--;
    if (i >= n_bytes) return false;
    int64_t number = 0;
    for (; i < n_bytes; i++) {
        int digit = text[i] - '0';
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_sub_overflow(number, digit, &number)) {
            number = INT64_MIN; /* counted downwards, because there is one more negative number */
            for (i++; i < n_bytes; i++) {
                if (text[i] < '0' || text[i] > '9') return false;
            }
        }
    }
    *value = is_negative ? number : number == INT64_MIN ? INT64_MAX : -number;
    return true;
}

bool pickle_text_parse_float(const char *text, size_t n_bytes, double *value) {
    char copy[512], *end;
    if (n_bytes == 0 || n_bytes >= sizeof copy || memchr(text, '\0', n_bytes) || strchr(" \t\v\f\r", text[0])) {
        return false;
    }
    memcpy(copy, text, n_bytes);
    copy[n_bytes] = '\0';
    if (strpbrk(copy, "xX(")) return false; /* strtod also takes hexadecimal numbers and nan(...) */
    locale_t c_locale = newlocale(LC_ALL_MASK, "C", NULL); /* the point is '.', whatever the program's locale */
    if (!c_locale) return false;
    double number = strtod_l(copy, &end, c_locale);
    freelocale(c_locale);
    if (*end != '\0') return false;
    *value = number;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Exactly n hexadecimal digits. */
static bool parse_hex(const char *text, size_t n_bytes, size_t n, uint32_t *value) {
    uint32_t number = 0;
    if (n > n_bytes) return false;
    for (size_t i = 0; i < n; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) return false;
        number = number << 4 | (uint32_t)digit;
    }
    *value = number;
    return true;
}

/* The byte of an escape; text points behind the backslash. Returns how many bytes it takes; 0: malformed. */
static size_t parse_escape(const char *text, size_t n_bytes, char *byte) {
    static const char names[] = "abtnvfr\\'\"", values[] = "\a\b\t\n\v\f\r\\'\"";
    uint32_t code = 0;
    if (n_bytes == 0) return 0;
    const char *name = text[0] ? strchr(names, text[0]) : NULL;
    if (name) {
        *byte = values[name - names];
        return 1;
    }
    if (text[0] == 'x') {
        if (!parse_hex(text + 1, n_bytes - 1, 2, &code)) return 0;
        *byte = (char)code;
        return 3;
    }
    size_t n = 0;
    for (; n < 3 && n < n_bytes && text[n] >= '0' && text[n] <= '7'; n++) code = code << 3 | (uint32_t)(text[n] - '0');
    *byte = (char)code;
    return n;
}

bool pickle_text_parse_literal(const char *text, size_t n_bytes, struct buffer *bytes) {
    if (n_bytes < 2 || (text[0] != '\'' && text[0] != '"') || text[n_bytes - 1] != text[0]) return false;
    for (size_t i = 1; i < n_bytes - 1;) {
        char byte = text[i++];
        if (byte == '\\') {
            size_t n = parse_escape(text + i, n_bytes - 1 - i, &byte);
            if (n == 0) return false;
            i += n;
        }
        buffer_append(bytes, &byte, 1);
    }
    return true;
}

bool pickle_text_parse_unicode(const char *text, size_t n_bytes, struct buffer *utf8) {
    for (size_t i = 0; i < n_bytes;) {
        uint32_t code = (unsigned char)text[i++];
        if (code == '\\' && i < n_bytes && (text[i] == 'u' || text[i] == 'U')) {
            size_t n = text[i] == 'u' ? 4 : 8;
            if (!parse_hex(text + i + 1, n_bytes - i - 1, n, &code) || code > 0x10ffff) return false;
            i += 1 + n;
        }
        text_append_code(utf8, code);
    }
    return true;
}
