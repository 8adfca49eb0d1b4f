#include "base/python_text.h"

#include <stdint.h>
#include <string.h>

#include "base/text.h"

/* ---------------------------------------------------------------- writing */

/* Where str.isprintable() is false: categories Cc, Cf, Cs, Co, Zl, Zp and Zs but for the blank, in Unicode 15.0.
 * What is not assigned is left out, but for the code points that never will be. */
static const struct {
    uint32_t first, last;
} not_printable[] = {
    {0x0, 0x1f},         {0x7f, 0xa0},       {0xad, 0xad},       {0x600, 0x605},       {0x61c, 0x61c},
    {0x6dd, 0x6dd},      {0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},       {0x1680, 0x1680},
    {0x180e, 0x180e},    {0x2000, 0x200f},   {0x2028, 0x202f},   {0x205f, 0x2064},     {0x2066, 0x206f},
    {0x3000, 0x3000},    {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},     {0xfff9, 0xfffb},
    {0x110bd, 0x110bd},  {0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3},   {0x1d173, 0x1d17a},
    {0xe0001, 0xe0001},  {0xe0020, 0xe007f}, {0xf0000, 0xffffd}, {0x100000, 0x10fffd},
};

static bool is_printable(uint32_t code) {
    if ((code & 0xfffe) == 0xfffe) return false; /* the last two of every plane are no characters */
    for (size_t i = 0; i < sizeof not_printable / sizeof *not_printable; i++) {
        if (code >= not_printable[i].first && code <= not_printable[i].last) return false;
    }
    return true;
}

static uint32_t code_of(const char *bytes, size_t n_bytes) {
    static const unsigned char head_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)bytes[0] & head_bits[n_bytes];
    for (size_t i = 1; i < n_bytes; i++) code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
    return code;
}

static void append_code(struct buffer *to, uint32_t code, const char *bytes, size_t n_bytes, char quote) {
    if (code == '\\' || (quote && code == (unsigned char)quote)) buffer_printf(to, "\\%c", (int)code);
    else if (code == '\n') buffer_append_text(to, "\\n");
    else if (code == '\r') buffer_append_text(to, "\\r");
    else if (code == '\t') buffer_append_text(to, "\\t");
    else if (is_printable(code)) buffer_append(to, bytes, n_bytes);
    else if (code < 0x100) buffer_printf(to, "\\x%02lx", (unsigned long)code);
    else if (code < 0x10000) buffer_printf(to, "\\u%04lx", (unsigned long)code);
    else buffer_printf(to, "\\U%08lx", (unsigned long)code);
}

/* quote: 0 where none needs an escape */
static void append_codes(struct buffer *to, const char *text, char quote) {
    size_t n_left = strlen(text);
    while (n_left) {
        size_t n = utf8_sequence_length(text, n_left);
        uint32_t code = n ? code_of(text, n) : 0xdc00u + (unsigned char)*text;
        if (!n) n = 1;
        append_code(to, code, text, n, quote);
        text += n;
        n_left -= n;
    }
}

void python_append_repr(struct buffer *to, const char *text) {
    char quote = strchr(text, '\'') && !strchr(text, '"') ? '"' : '\'';
    buffer_append(to, &quote, 1);
    append_codes(to, text, quote);
    buffer_append(to, &quote, 1);
}

void python_append_escaped(struct buffer *to, const char *text) { append_codes(to, text, 0); }

/* ---------------------------------------------------------------- reading */

/* n hexadecimal digits, which *at moves behind. */
static bool read_hex(const char **at, const char *end, size_t n, uint32_t *code) {
    uint32_t number = 0;
    if ((size_t)(end - *at) < n) return false;
    for (size_t i = 0; i < n; i++) {
        char c = (*at)[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
                    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return false;
        number = number << 4 | (uint32_t)digit;
    }
    *at += n;
    *code = number;
    return true;
}

static bool read_octal(const char **at, const char *end, uint32_t *code) {
    size_t n = 0;
    uint32_t number = 0;
    for (; n < 3 && *at + n < end && (*at)[n] >= '0' && (*at)[n] <= '7'; n++)
        number = number << 3 | (uint32_t)((*at)[n] - '0');
    *at += n;
    *code = number;
    return n > 0;
}

/* What follows a backslash. *at moves behind it only if it is right. */
static const char *parse_escape(const char **at, const char *end, struct buffer *text) {
    static const char names[] = "abtnvfr\\'\"", values[] = "\a\b\t\n\v\f\r\\'\"";
    const char *behind = *at + 1, *name = *at < end && **at ? strchr(names, **at) : NULL;
    uint32_t code = 0;
    bool is_known = false;
    if (name) {
        code = (unsigned char)values[name - names];
        is_known = true;
    } else if (*at < end && strchr("xuU", **at) && **at) {
        is_known = read_hex(&behind, end, **at == 'x' ? 2 : **at == 'u' ? 4 : 8, &code);
    } else {
        behind = *at;
        is_known = read_octal(&behind, end, &code);
    }
    if (!is_known) return "an escape of Python's";
    if (!code) return "no NUL";
    if (code > 0x10ffff) return "a code point up to \\U0010ffff";
    if (code >= 0xd800 && code < 0xe000) { /* of the surrogates only those that stand for a byte */
        if (code < 0xdc80 || code > 0xdcff) return "no lone surrogate but \\udc80 to \\udcff";
        char byte = (char)(code & 0xff);
        buffer_append(text, &byte, 1);
    } else {
        text_append_code(text, code);
    }
    *at = behind;
    return NULL;
}

/* Up to the quote (which stays), or to the end where quote is 0. */
static const char *parse_codes(const char **at, const char *end, char quote, struct buffer *text) {
    while (*at < end && (!quote || **at != quote)) {
        size_t n = utf8_sequence_length(*at, (size_t)(end - *at));
        if (!n) return "UTF-8";
        if (!**at) return "no NUL";
        if (**at == '\\') {
            const char *behind = *at + 1, *problem = parse_escape(&behind, end, text);
            if (problem) return problem;
            *at = behind;
        } else {
            buffer_append(text, *at, n);
            *at += n;
        }
    }
    return NULL;
}

const char *python_parse_literal(const char **at, const char *end, struct buffer *text) {
    if (*at == end || (**at != '\'' && **at != '"')) return "a label in quotes";
    char quote = **at;
    ++*at;
    const char *problem = parse_codes(at, end, quote, text);
    if (problem) return problem;
    if (*at == end) return "a closing quote";
    ++*at;
    return NULL;
}

const char *python_parse_escaped(const char **at, const char *end, struct buffer *text) {
    return parse_codes(at, end, 0, text);
}
