/* What the opcodes do: one function an opcode, one table row an opcode (Python: pickletools.opcodes). */
#include <inttypes.h>
#include <string.h>

#include "base/buffer.h"
#include "store/pickle_internal.h"
#include "store/pickle_text.h"

static const char *name_of_opcode(const struct pickle_reader *reader) { return pickle_opcodes[reader->opcode].name; }

static filtags_status fail_truncated(struct pickle_reader *reader, uint64_t n_bytes) {
    reader->is_truncated = true;
    return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                       "the file is truncated: %s of %" PRIu64 " bytes expected, %" PRIu64 " are left",
                       name_of_opcode(reader), n_bytes, pickle_source_n_left(&reader->source));
}

/* ---- stack and memo ---- */

static filtags_status push(struct pickle_reader *reader, uint64_t word) {
    enum { ROOT_KEY_AND_ITEM = 3 };
    filtags_status status = pickle_pool_reserve(reader->file, &reader->stack, 1);
    if (!status && reader->stack.n == 0 && reader->visit.visitor) pickle_visit_begin(reader, word);
    if (!status && reader->stack.n == ROOT_KEY_AND_ITEM && reader->visit.root)
        status = pickle_visit_push(reader, &word);
    if (!status) ((uint64_t *)reader->stack.data)[reader->stack.n++] = word;
    return status;
}

static filtags_status push_if(struct pickle_reader *reader, filtags_status status, uint64_t word) {
    return status ? status : push(reader, word);
}

/* *top gets the n topmost values, which stay on the stack. */
static filtags_status peek(struct pickle_reader *reader, size_t n, uint64_t **top) {
    if (reader->stack.n - reader->fence < n) {
        pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s needs %zu values on the stack, found %zu", name_of_opcode(reader),
                    n, reader->stack.n - reader->fence);
        return FILTAGS_ERROR_FORMAT; /* said here, so that compilers see that *top is set otherwise */
    }
    *top = (uint64_t *)reader->stack.data + reader->stack.n - n;
    return FILTAGS_OK;
}

/* Take the n topmost values away. *top stays valid until the next push. */
static filtags_status pop(struct pickle_reader *reader, size_t n, uint64_t **top) {
    filtags_status status = peek(reader, n, top);
    if (!status) reader->stack.n -= n;
    return status;
}

/* Take away what lies above the last mark. */
static filtags_status pop_mark(struct pickle_reader *reader, uint64_t **items, size_t *n) {
    const size_t *marks = reader->marks.data;
    if (reader->marks.n == 0) {
        pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s without a MARK", name_of_opcode(reader));
        return FILTAGS_ERROR_FORMAT;
    }
    if (reader->visit.has_forgotten && reader->marks.n == 1 && reader->opcode != 'u') {
        pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s of pairs that are forgotten", name_of_opcode(reader));
        return FILTAGS_ERROR_FORMAT;
    }
    *n = reader->stack.n - reader->fence;
    *items = (uint64_t *)reader->stack.data + reader->fence;
    reader->stack.n = reader->fence;
    reader->marks.n--;
    reader->fence = reader->marks.n ? marks[reader->marks.n - 1] : 0;
    return FILTAGS_OK;
}

static filtags_status run_mark(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    filtags_status status = pickle_pool_reserve(reader->file, &reader->marks, 1);
    if (status) return status;
    ((size_t *)reader->marks.data)[reader->marks.n++] = reader->stack.n;
    reader->fence = reader->stack.n;
    return FILTAGS_OK;
}

static filtags_status run_pop_mark(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *items;
    size_t n;
    (void)operand;
    return pop_mark(reader, &items, &n);
}

static filtags_status run_pop(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    if (reader->stack.n == reader->fence && reader->marks.n > 0) return run_pop_mark(reader, operand);
    return pop(reader, 1, &top);
}

/* A second handle of the root could add pairs behind our back: nothing may be forgotten from then on. */
static filtags_status push_again(struct pickle_reader *reader, uint64_t word) {
    if (word == WORD_FORGOTTEN || (word == reader->visit.root && reader->visit.has_forgotten)) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s of what is forgotten", name_of_opcode(reader));
    }
    if (word == reader->visit.root) reader->visit.root = WORD_UNSET;
    return push(reader, word);
}

static filtags_status run_dup(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    (void)operand;
    filtags_status status = peek(reader, 1, &top);
    return status ? status : push_again(reader, *top);
}

static filtags_status put_memo(struct pickle_reader *reader, uint64_t index) {
    uint64_t *top;
    filtags_status status = peek(reader, 1, &top);
    if (status) return status;
    /* Each entry takes a byte at least: a larger index is an attempt to have memory allocated. */
    if (index > reader->opcode_offset - reader->pickle_offset) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "memo place %" PRIu64 " is out of proportion", index);
    }
    if (index >= reader->memo.n) {
        size_t n_more = (size_t)index + 1 - reader->memo.n;
        if ((status = pickle_pool_reserve(reader->file, &reader->memo, n_more))) return status;
        memset((uint64_t *)reader->memo.data + reader->memo.n, 0, n_more * sizeof(uint64_t));
        reader->memo.n += n_more;
    }
    uint64_t *entry = (uint64_t *)reader->memo.data + index;
    reader->n_memo_set += *entry == WORD_UNSET;
    if (index < reader->visit.first_memo) reader->visit.first_memo = (size_t)index;
    *entry = *top;
    return FILTAGS_OK;
}

static filtags_status run_memoize(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    return put_memo(reader, reader->n_memo_set);
}

static filtags_status get_memo(struct pickle_reader *reader, uint64_t index) {
    uint64_t word = index < reader->memo.n ? ((const uint64_t *)reader->memo.data)[index] : WORD_UNSET;
    if (word == WORD_UNSET) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "memo place %" PRIu64 " is read before it is set", index);
    }
    return push_again(reader, word);
}

/* ---- operands that follow ---- */

/* *bytes gets n bytes in a row, valid until more is read. */
static filtags_status take_bytes(struct pickle_reader *reader, uint64_t n, const char **bytes) {
    struct pickle_source *source = &reader->source;
    filtags_status status;
    if (n > pickle_source_n_left(source)) return fail_truncated(reader, n);
    if (n <= SOURCE_BUFFER_BYTES) {
        if ((status = pickle_source_fill(source, (size_t)n))) return status;
        *bytes = (const char *)source->next;
        source->next += n;
        return FILTAGS_OK;
    }
    reader->line.n = 0;
    if ((status = pickle_pool_reserve(reader->file, &reader->line, (size_t)n))) return status;
    *bytes = reader->line.data;
    return pickle_source_read(source, reader->line.data, (size_t)n);
}

/* *line gets the bytes up to the next newline, without it; a NUL follows. */
static filtags_status take_line(struct pickle_reader *reader, const char **line, size_t *n) {
    struct pickle_source *source = &reader->source;
    for (reader->line.n = 0;;) {
        filtags_status status = pickle_source_fill(source, 1);
        if (status) return status;
        size_t n_part = pickle_source_n_buffered(source);
        if (n_part == 0) {
            reader->is_truncated = true;
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the file is truncated: the line of %s has no end",
                               name_of_opcode(reader));
        }
        const uint8_t *end = memchr(source->next, '\n', n_part);
        if (end) n_part = (size_t)(end - source->next);
        if ((status = pickle_pool_reserve(reader->file, &reader->line, n_part + 1))) return status;
        memcpy((char *)reader->line.data + reader->line.n, source->next, n_part);
        reader->line.n += n_part;
        source->next += n_part + (end ? 1 : 0);
        if (end) break;
    }
    *line = reader->line.data;
    *n = reader->line.n;
    ((char *)reader->line.data)[reader->line.n] = '\0';
    return FILTAGS_OK;
}

static filtags_status fail_line(const struct pickle_reader *reader, const char *expected, const char *line) {
    return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s expected, found '%.40s'", expected, line);
}

/* ---- constants and numbers ---- */

static filtags_status run_none(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    return push(reader, WORD_NONE);
}

static filtags_status run_true(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    return push(reader, WORD_TRUE);
}

static filtags_status run_false(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    return push(reader, WORD_FALSE);
}

static filtags_status push_int(struct pickle_reader *reader, int64_t value) {
    uint64_t word = 0;
    filtags_status status = pickle_make_int(reader->file, value, &word);
    return push_if(reader, status, word);
}

static filtags_status push_float(struct pickle_reader *reader, double value) {
    uint64_t word = 0;
    filtags_status status = pickle_make_float(reader->file, value, &word);
    return push_if(reader, status, word);
}

static filtags_status run_unsigned(struct pickle_reader *reader, uint64_t operand) {
    return push(reader, word_make(TAG_INT, operand));
}

static filtags_status run_binint(struct pickle_reader *reader, uint64_t operand) {
    return push_int(reader, (int32_t)(uint32_t)operand);
}

static filtags_status run_binfloat(struct pickle_reader *reader, uint64_t operand) {
    uint64_t bits = __builtin_bswap64(operand);
    double value;
    memcpy(&value, &bits, sizeof value);
    return push_float(reader, value);
}

static filtags_status run_int_line(struct pickle_reader *reader, uint64_t operand) {
    const char *line = NULL;
    size_t n;
    int64_t value;
    (void)operand;
    filtags_status status = take_line(reader, &line, &n);
    if (status) return status;
    bool is_bool = reader->opcode == 'I' && n == 2 && line[0] == '0' && (line[1] == '0' || line[1] == '1');
    if (is_bool) { /* as protocols 0 and 1 have them */
        return push(reader, line[1] == '1' ? WORD_TRUE : WORD_FALSE);
    }
    if (!pickle_text_parse_int(line, n, &value)) return fail_line(reader, "an integer", line);
    return push_int(reader, value);
}

static filtags_status run_float_line(struct pickle_reader *reader, uint64_t operand) {
    const char *line = NULL;
    size_t n;
    double value;
    (void)operand;
    filtags_status status = take_line(reader, &line, &n);
    if (status) return status;
    if (!pickle_text_parse_float(line, n, &value)) return fail_line(reader, "a float", line);
    return push_float(reader, value);
}

/* An integer of n bytes, little-endian, two's complement. */
static filtags_status run_long(struct pickle_reader *reader, uint64_t n) {
    const char *text = NULL;
    if (n > INT32_MAX) return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "an integer of a negative number of bytes");
    filtags_status status = take_bytes(reader, n, &text);
    if (status) return status;
    const uint8_t *bytes = (const uint8_t *)text;
    bool is_negative = n > 0 && bytes[n - 1] & 0x80;
    uint64_t bits = is_negative ? UINT64_MAX : 0;
    for (uint64_t i = n < 8 ? n : 8; i-- > 0;) bits = bits << 8 | bytes[i];
    bool fits = (int64_t)bits < 0 ? is_negative : !is_negative;
    for (uint64_t i = 8; i < n; i++) fits = fits && bytes[i] == (is_negative ? 0xff : 0);
    return push_int(reader, fits ? (int64_t)bits : is_negative ? INT64_MIN : INT64_MAX);
}

/* ---- strings and bytes ---- */

static filtags_status push_utf8(struct pickle_reader *reader, const char *text, size_t n) {
    uint64_t word = 0;
    if (!pickle_text_is_utf8(text, n)) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a str that is not valid UTF-8");
    }
    filtags_status status = pickle_make_str(reader->file, text, n, &word);
    return push_if(reader, status, word);
}

/* The data of a large array in protocols 1 and 2: a text of n bytes that _codecs.encode, which lies on the stack
 * already, is going to turn into bytes. Doing so at once saves keeping the text as a string. */
static filtags_status push_text_encoded(struct pickle_reader *reader, uint64_t n) {
    struct pickle_source *source = &reader->source;
    uint64_t word = 0, n_done = 0, n_kept = 0;
    uint8_t *to;
    filtags_status status = pickle_make_bytes(reader->file, (size_t)n, &word, &to); /* may get shorter, never longer */
    if (status) return status;
    while (n_done < n) {
        if ((status = pickle_source_fill(source, 2))) return status;
        const uint8_t *from = source->next;
        size_t n_part = pickle_source_n_buffered(source), i = 0;
        if (n_part > n - n_done) n_part = (size_t)(n - n_done);
        while (i < n_part) {
            if (from[i] < 0x80) {
                to[n_kept++] = from[i++];
            } else if ((from[i] == 0xc2 || from[i] == 0xc3) && i + 1 < n_part && (from[i + 1] & 0xc0) == 0x80) {
                to[n_kept++] = (uint8_t)(from[i] << 6 | (from[i + 1] & 0x3f));
                i += 2;
            } else if (i > 0 && i + 1 == n_part && n_done + n_part < n) {
                break; /* the other half of the character is still to be fetched */
            } else {
                return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a character outside latin1 in the text of bytes");
            }
        }
        source->next += i;
        n_done += i;
    }
    to[n_kept] = '\0';
    *pickle_words(reader->file, word_place(word)) = n_kept;
    reader->file->words.n = (size_t)(word_place(word) + 2 + n_kept / 8); /* give back what was too much */
    return push(reader, word);
}

/* CPython shares the texts of single characters, and perhaps of short words, with ordinary strings. */
enum { LONG_TEXT_BYTES = 64 };

static filtags_status run_binunicode(struct pickle_reader *reader, uint64_t n) {
    const char *text = NULL;
    uint64_t *top;
    if (n > pickle_source_n_left(&reader->source)) return fail_truncated(reader, n);
    if (n >= LONG_TEXT_BYTES && reader->stack.n > reader->fence && !peek(reader, 1, &top) &&
        *top == pickle_global_encode()) {
        return push_text_encoded(reader, n);
    }
    filtags_status status = take_bytes(reader, n, &text);
    return status ? status : push_utf8(reader, text, (size_t)n);
}

static filtags_status run_unicode_line(struct pickle_reader *reader, uint64_t operand) {
    const char *line = NULL;
    size_t n;
    (void)operand;
    filtags_status status = take_line(reader, &line, &n);
    if (status) return status;
    struct buffer utf8 = {0};
    if (!pickle_text_parse_unicode(line, n, &utf8)) status = fail_line(reader, "a text with \\u escapes", line);
    else if (utf8.has_failed) status = FILTAGS_ERROR_MEMORY;
    else status = push_utf8(reader, buffer_text(&utf8), utf8.size_bytes);
    buffer_free(&utf8);
    return status;
}

static filtags_status push_bytes(struct pickle_reader *reader, const void *bytes, size_t n) {
    uint64_t word = 0;
    uint8_t *to;
    filtags_status status = pickle_make_bytes(reader->file, n, &word, &to);
    if (status) return status;
    if (n) memcpy(to, bytes, n);
    return push(reader, word);
}

/* A Python 2 str: text where it is ASCII (what Python 3 takes by default), else bytes. */
static filtags_status push_old_str(struct pickle_reader *reader, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (text[i] & 0x80) return push_bytes(reader, text, n);
    }
    return push_utf8(reader, text, n);
}

static filtags_status run_string_line(struct pickle_reader *reader, uint64_t operand) {
    const char *line = NULL;
    size_t n;
    (void)operand;
    filtags_status status = take_line(reader, &line, &n);
    if (status) return status;
    struct buffer bytes = {0};
    if (!pickle_text_parse_literal(line, n, &bytes)) status = fail_line(reader, "a string in quotes", line);
    else if (bytes.has_failed) status = FILTAGS_ERROR_MEMORY;
    else status = push_old_str(reader, buffer_text(&bytes), bytes.size_bytes);
    buffer_free(&bytes);
    return status;
}

static filtags_status run_binstring(struct pickle_reader *reader, uint64_t n) {
    const char *text = NULL;
    if (reader->opcode == 'T' && n > INT32_MAX) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a string of a negative number of bytes");
    }
    filtags_status status = take_bytes(reader, n, &text);
    return status ? status : push_old_str(reader, text, (size_t)n);
}

static filtags_status run_binbytes(struct pickle_reader *reader, uint64_t n) {
    uint64_t word = 0;
    uint8_t *to;
    if (n > pickle_source_n_left(&reader->source)) return fail_truncated(reader, n);
    filtags_status status = pickle_make_bytes(reader->file, (size_t)n, &word, &to);
    if (!status) status = pickle_source_read(&reader->source, to, (size_t)n);
    return push_if(reader, status, word);
}

/* ---- containers ---- */

static filtags_status push_container(struct pickle_reader *reader, enum pickle_tag tag, const uint64_t *items,
                                     size_t n) {
    uint64_t word = 0;
    filtags_status status = tag == TAG_TUPLE ? pickle_make_tuple(reader->file, items, n, &word)
                                             : pickle_make_container(reader->file, tag, items, n, &word);
    return push_if(reader, status, word);
}

static filtags_status run_empty(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    enum pickle_tag tag = reader->opcode == ']'   ? TAG_LIST
                          : reader->opcode == '}' ? TAG_DICT
                          : reader->opcode == ')' ? TAG_TUPLE
                                                  : TAG_SET;
    return push_container(reader, tag, NULL, 0);
}

static filtags_status run_short_tuple(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    size_t n = reader->opcode - 0x84u; /* TUPLE1, TUPLE2, TUPLE3 */
    (void)operand;
    filtags_status status = pop(reader, n, &top);
    return status ? status : push_container(reader, TAG_TUPLE, top, n);
}

/* Pairs of key and value: keys must be what Python takes for one. */
static filtags_status check_pairs(const struct pickle_reader *reader, const uint64_t *items, size_t n) {
    if (n % 2) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s with a key that has no value", name_of_opcode(reader));
    }
    for (size_t i = 0; i < n; i += 2) {
        enum pickle_tag tag = word_tag(items[i]);
        if (tag == TAG_LIST || tag == TAG_DICT || tag == TAG_ARRAY) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a %s as a key of a dict", pickle_word_name(items[i]));
        }
    }
    return FILTAGS_OK;
}

/* TUPLE, LIST, DICT, FROZENSET: a container of all that lies above the mark. */
static filtags_status run_from_mark(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *items;
    size_t n;
    (void)operand;
    enum pickle_tag tag = reader->opcode == 't'   ? TAG_TUPLE
                          : reader->opcode == 'l' ? TAG_LIST
                          : reader->opcode == 'd' ? TAG_DICT
                                                  : TAG_SET;
    filtags_status status = pop_mark(reader, &items, &n);
    if (!status && tag == TAG_DICT) status = check_pairs(reader, items, n);
    return status ? status : push_container(reader, tag, items, n);
}

/* Append to the container on top of the stack. */
static filtags_status extend_top(struct pickle_reader *reader, enum pickle_tag tag, const uint64_t *items, size_t n) {
    uint64_t *top;
    filtags_status status = peek(reader, 1, &top);
    if (status) return status;
    if (word_tag(*top) != tag) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s to a %s", name_of_opcode(reader), pickle_word_name(*top));
    }
    if (tag == TAG_DICT && (status = check_pairs(reader, items, n))) return status;
    if (*top == reader->visit.root && *top) return pickle_visit_pairs(reader, items, n);
    return pickle_extend(reader->file, *top, items, n);
}

static filtags_status run_append(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    (void)operand;
    filtags_status status = pop(reader, 1, &top);
    return status ? status : extend_top(reader, TAG_LIST, top, 1);
}

static filtags_status run_setitem(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    (void)operand;
    filtags_status status = pop(reader, 2, &top);
    return status ? status : extend_top(reader, TAG_DICT, top, 2);
}

/* APPENDS, SETITEMS, ADDITEMS */
static filtags_status run_extend(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *items;
    size_t n;
    (void)operand;
    enum pickle_tag tag = reader->opcode == 'e' ? TAG_LIST : reader->opcode == 'u' ? TAG_DICT : TAG_SET;
    filtags_status status = pop_mark(reader, &items, &n);
    return status ? status : extend_top(reader, tag, items, n);
}

/* ---- objects ---- */

/* Module and name in two lines; copied, as the second line takes the first one's place. */
static filtags_status take_names(struct pickle_reader *reader, char module[256], char name[256]) {
    char *const to[2] = {module, name};
    for (int i = 0; i < 2; i++) {
        const char *line = NULL;
        size_t n;
        filtags_status status = take_line(reader, &line, &n);
        if (status) return status;
        if (n >= 256) return fail_line(reader, "the name of a class", line);
        memcpy(to[i], line, n + 1);
    }
    return FILTAGS_OK;
}

static filtags_status run_global(struct pickle_reader *reader, uint64_t operand) {
    char module[256], name[256];
    uint64_t word = 0;
    (void)operand;
    filtags_status status = take_names(reader, module, name);
    if (!status) status = pickle_find_global(reader, module, name, &word);
    return push_if(reader, status, word);
}

static filtags_status run_stack_global(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top, word = 0;
    (void)operand;
    filtags_status status = pop(reader, 2, &top);
    if (status) return status;
    if (word_tag(top[0]) != TAG_STR || word_tag(top[1]) != TAG_STR) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "two str expected as the name of a class, found a %s and a %s",
                           pickle_word_name(top[0]), pickle_word_name(top[1]));
    }
    status = pickle_find_global(reader, pickle_as_str(reader->file, (pickle_value){top[0]}, NULL),
                                pickle_as_str(reader->file, (pickle_value){top[1]}, NULL), &word);
    return push_if(reader, status, word);
}

static filtags_status run_reduce(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top, word = 0;
    (void)operand;
    filtags_status status = pop(reader, 2, &top);
    if (!status) status = pickle_call(reader, top[0], top[1], &word);
    return push_if(reader, status, word);
}

/* cls.__new__(cls, *arguments): the same as a call only where there are no arguments. */
static filtags_status run_newobj(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    filtags_status status = peek(reader, 2, &top);
    if (status) return status;
    if (word_tag(top[1]) != TAG_TUPLE || pickle_length(reader->file, (pickle_value){top[1]}) != 0) {
        return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "NEWOBJ with arguments");
    }
    return run_reduce(reader, operand);
}

static filtags_status run_build(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    (void)operand;
    filtags_status status = pop(reader, 1, &top);
    uint64_t state = status ? 0 : *top;
    if (!status) status = peek(reader, 1, &top);
    return status ? status : pickle_set_state(reader, *top, state);
}

static filtags_status run_inst(struct pickle_reader *reader, uint64_t operand) {
    char module[256], name[256];
    (void)operand;
    filtags_status status = take_names(reader, module, name);
    if (status) return status;
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "an instance of '%s.%s' is no plain data, and is refused",
                       module, name);
}

static filtags_status run_refuse(struct pickle_reader *reader, uint64_t operand) {
    (void)operand;
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "opcode %s: not plain data, and refused",
                       name_of_opcode(reader));
}

/* ---- the rest ---- */

static filtags_status run_proto(struct pickle_reader *reader, uint64_t version) {
    if (version <= 5) return FILTAGS_OK;
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "pickle protocol %" PRIu64 ": 0 to 5 expected", version);
}

static filtags_status run_frame(struct pickle_reader *reader, uint64_t n) {
    return n > pickle_source_n_left(&reader->source) ? fail_truncated(reader, n) : FILTAGS_OK;
}

static filtags_status run_put_line(struct pickle_reader *reader, uint64_t operand) {
    const char *line = NULL;
    size_t n;
    int64_t index;
    (void)operand;
    filtags_status status = take_line(reader, &line, &n);
    if (status) return status;
    if (!pickle_text_parse_int(line, n, &index) || index < 0) return fail_line(reader, "a memo place", line);
    return reader->opcode == 'p' ? put_memo(reader, (uint64_t)index) : get_memo(reader, (uint64_t)index);
}

static filtags_status run_stop(struct pickle_reader *reader, uint64_t operand) {
    uint64_t *top;
    (void)operand;
    if (reader->marks.n > 0 || reader->stack.n != 1) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                           "one value expected at the end of a pickle, found %zu and %zu marks", reader->stack.n,
                           reader->marks.n);
    }
    filtags_status status = pop(reader, 1, &top);
    if (!status) status = pickle_check(reader->file, *top, reader->pickle_offset, 1, NULL);
    if (!status && reader->visit.visitor) status = pickle_visit_end(reader, *top);
    if (!status) status = pickle_pool_reserve(reader->file, &reader->file->values, 1);
    if (status) return status;
    ((uint64_t *)reader->file->values.data)[reader->file->values.n++] = *top;
    reader->is_stopped = true;
    return FILTAGS_OK;
}

const struct pickle_opcode pickle_opcodes[256] = {
    ['('] = {"MARK", run_mark, 0},
    ['.'] = {"STOP", run_stop, 0},
    ['0'] = {"POP", run_pop, 0},
    ['1'] = {"POP_MARK", run_pop_mark, 0},
    ['2'] = {"DUP", run_dup, 0},
    ['F'] = {"FLOAT", run_float_line, 0},
    ['I'] = {"INT", run_int_line, 0},
    ['J'] = {"BININT", run_binint, 4},
    ['K'] = {"BININT1", run_unsigned, 1},
    ['L'] = {"LONG", run_int_line, 0},
    ['M'] = {"BININT2", run_unsigned, 2},
    ['N'] = {"NONE", run_none, 0},
    ['P'] = {"PERSID", run_refuse, 0},
    ['Q'] = {"BINPERSID", run_refuse, 0},
    ['R'] = {"REDUCE", run_reduce, 0},
    ['S'] = {"STRING", run_string_line, 0},
    ['T'] = {"BINSTRING", run_binstring, 4},
    ['U'] = {"SHORT_BINSTRING", run_binstring, 1},
    ['V'] = {"UNICODE", run_unicode_line, 0},
    ['X'] = {"BINUNICODE", run_binunicode, 4},
    ['a'] = {"APPEND", run_append, 0},
    ['b'] = {"BUILD", run_build, 0},
    ['c'] = {"GLOBAL", run_global, 0},
    ['d'] = {"DICT", run_from_mark, 0},
    ['}'] = {"EMPTY_DICT", run_empty, 0},
    ['e'] = {"APPENDS", run_extend, 0},
    ['g'] = {"GET", run_put_line, 0},
    ['h'] = {"BINGET", get_memo, 1},
    ['i'] = {"INST", run_inst, 0},
    ['j'] = {"LONG_BINGET", get_memo, 4},
    ['l'] = {"LIST", run_from_mark, 0},
    [']'] = {"EMPTY_LIST", run_empty, 0},
    ['o'] = {"OBJ", run_refuse, 0},
    ['p'] = {"PUT", run_put_line, 0},
    ['q'] = {"BINPUT", put_memo, 1},
    ['r'] = {"LONG_BINPUT", put_memo, 4},
    ['s'] = {"SETITEM", run_setitem, 0},
    ['t'] = {"TUPLE", run_from_mark, 0},
    [')'] = {"EMPTY_TUPLE", run_empty, 0},
    ['u'] = {"SETITEMS", run_extend, 0},
    ['G'] = {"BINFLOAT", run_binfloat, 8},
    [0x80] = {"PROTO", run_proto, 1},
    [0x81] = {"NEWOBJ", run_newobj, 0},
    [0x82] = {"EXT1", run_refuse, 0},
    [0x83] = {"EXT2", run_refuse, 0},
    [0x84] = {"EXT4", run_refuse, 0},
    [0x85] = {"TUPLE1", run_short_tuple, 0},
    [0x86] = {"TUPLE2", run_short_tuple, 0},
    [0x87] = {"TUPLE3", run_short_tuple, 0},
    [0x88] = {"NEWTRUE", run_true, 0},
    [0x89] = {"NEWFALSE", run_false, 0},
    [0x8a] = {"LONG1", run_long, 1},
    [0x8b] = {"LONG4", run_long, 4},
    ['B'] = {"BINBYTES", run_binbytes, 4},
    ['C'] = {"SHORT_BINBYTES", run_binbytes, 1},
    [0x8c] = {"SHORT_BINUNICODE", run_binunicode, 1},
    [0x8d] = {"BINUNICODE8", run_binunicode, 8},
    [0x8e] = {"BINBYTES8", run_binbytes, 8},
    [0x8f] = {"EMPTY_SET", run_empty, 0},
    [0x90] = {"ADDITEMS", run_extend, 0},
    [0x91] = {"FROZENSET", run_from_mark, 0},
    [0x92] = {"NEWOBJ_EX", run_refuse, 0},
    [0x93] = {"STACK_GLOBAL", run_stack_global, 0},
    [0x94] = {"MEMOIZE", run_memoize, 0},
    [0x95] = {"FRAME", run_frame, 8},
    [0x96] = {"BYTEARRAY8", run_binbytes, 8},
    [0x97] = {"NEXT_BUFFER", run_refuse, 0},
    [0x98] = {"READONLY_BUFFER", run_refuse, 0},
};
