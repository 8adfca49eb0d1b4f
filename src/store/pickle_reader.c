/* Opening a file of pickles, and the machine's loop. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "store/pickle_internal.h"

filtags_status pickle_fail(const struct pickle_reader *reader, filtags_status status, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return error_set(status, "%s: byte %" PRIu64 ": %s", reader->file->name, reader->opcode_offset, text);
}

/* Files that are something else altogether would give odd messages: say so at once. */
static filtags_status check_start(struct pickle_source *source) {
    filtags_status status = pickle_source_fill(source, 2);
    if (status) return status;
    if (source->size_bytes == 0) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: a pickle expected, the file is empty", source->name);
    }
    const uint8_t *start = source->next;
    bool is_protocol = start[0] == 0x80; /* protocols 2 and up; the older ones begin with their first value */
    if (is_protocol || (start[0] && strchr("(])}NILFKMJGSTUVXc", start[0]))) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_FORMAT, "%s: this is no pickle: it begins with byte 0x%02x", source->name, start[0]);
}

static filtags_status read_pickle(struct pickle_reader *reader) {
    static const uint64_t masks[9] = {0, 0xff, 0xffff, 0, 0xffffffff, 0, 0, 0, UINT64_MAX};
    struct pickle_source *source = &reader->source;
    reader->pickle_offset = pickle_source_offset(source);
    reader->stack.n = reader->marks.n = reader->memo.n = 0;
    reader->fence = reader->n_memo_set = 0;
    reader->visit.root = WORD_UNSET;
    reader->visit.has_forgotten = false;
    reader->visit.pickle_first_word = reader->file->words.n;
    for (reader->is_stopped = false; !reader->is_stopped;) {
        filtags_status status = pickle_source_fill(source, 9); /* an opcode and the longest operand */
        if (status) return status;
        reader->opcode_offset = pickle_source_offset(source);
        if (source->next == source->end) {
            reader->is_truncated = true;
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                               "the file is truncated: the pickle that begins at byte %" PRIu64 " has no end",
                               reader->pickle_offset);
        }
        reader->opcode = *source->next++;
        const struct pickle_opcode *opcode = &pickle_opcodes[reader->opcode];
        if (!opcode->run) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "an opcode of a pickle expected, found byte 0x%02x",
                               reader->opcode);
        }
        if (pickle_source_n_buffered(source) < opcode->n_operand_bytes) {
            reader->is_truncated = true;
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the file is truncated: the operand of %s is missing",
                               opcode->name);
        }
        uint64_t operand;
        memcpy(&operand, source->next, sizeof operand); /* the buffer is padded */
        source->next += opcode->n_operand_bytes;
        status = opcode->run(reader, operand & masks[opcode->n_operand_bytes]);
        if (status) return status;
    }
    return FILTAGS_OK;
}

static size_t default_limit(void) {
    long n_pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    return n_pages > 0 && page_bytes > 0 ? (size_t)n_pages / 2 * (size_t)page_bytes : (size_t)1 << 30;
}

static filtags_status create_file(const char *name, size_t limit_bytes, struct pickle_file **file) {
    struct pickle_file *created = memory_new(1, sizeof *created);
    if (!created) return FILTAGS_ERROR_MEMORY;
    created->limit_bytes = limit_bytes ? limit_bytes : default_limit();
    created->values.item_bytes = created->words.item_bytes = sizeof(uint64_t);
    created->texts.item_bytes = 1;
    created->strs.item_bytes = sizeof(struct pickle_str);
    created->slots.item_bytes = sizeof(uint32_t);
    created->name = memory_copy_string(name);
    if (!created->name) {
        pickle_file_close(created);
        return FILTAGS_ERROR_MEMORY;
    }
    *file = created;
    return FILTAGS_OK;
}

/* Read everything from an open source, and close it. */
static filtags_status read_all(struct pickle_reader *reader, const char *name, size_t limit_bytes,
                               struct pickle_file **file) {
    reader->stack.item_bytes = reader->memo.item_bytes = sizeof(uint64_t);
    reader->marks.item_bytes = sizeof(size_t);
    reader->line.item_bytes = 1;
    filtags_status status = create_file(name, limit_bytes, &reader->file);
    if (!status) status = check_start(&reader->source);
    if (!status) status = pickle_pool_grow(reader->file, &reader->stack, 64); /* so that it is never NULL */
    while (!status && pickle_source_n_left(&reader->source) > 0) status = read_pickle(reader);
    if (reader->file) {
        pickle_pool_free(reader->file, &reader->stack);
        pickle_pool_free(reader->file, &reader->marks);
        pickle_pool_free(reader->file, &reader->memo);
        pickle_pool_free(reader->file, &reader->line);
    }
    pickle_source_close(&reader->source);
    if (status) pickle_file_close(reader->file);
    else *file = reader->file;
    return status;
}

/* What failed because a pair had been forgotten succeeds without forgetting; and other damage then has its own
 * message. */
static bool is_worth_another_reading(const struct pickle_reader *reader, filtags_status status) {
    return (status == FILTAGS_ERROR_FORMAT || status == FILTAGS_ERROR_UNSUPPORTED) && reader->visit.has_forgotten &&
           !reader->visit.has_failed && !reader->is_truncated;
}

/* Read everything from an open source, and close it. *again gets what another reading has to know, its visitor NULL
 * where none is needed. */
static filtags_status visit_all(struct pickle_source source, const char *name, size_t limit_bytes,
                                const struct pickle_visit *visit, struct pickle_visit *again) {
    struct pickle_reader reader = {.source = source, .visit = *visit};
    struct pickle_file *file = NULL;
    filtags_status status = read_all(&reader, name, limit_bytes, &file);
    *again = (struct pickle_visit){0};
    if (status && is_worth_another_reading(&reader, status)) {
        *again = (struct pickle_visit){.visitor = visit->visitor,
                                       .keeps_all = true,
                                       .n_pairs_told = reader.visit.n_pairs_told,
                                       .n_values_told = reader.visit.n_values_told,
                                       .told_sizes = reader.visit.told_sizes,
                                       .told_capacity = reader.visit.told_capacity};
    } else {
        free(reader.visit.told_sizes);
    }
    if (!status) pickle_file_close(file);
    return status;
}

/* bytes: NULL to read the file of that name. */
static filtags_status visit_source(const void *bytes, size_t n_bytes, const char *name, size_t limit_bytes,
                                   const struct pickle_visitor *visitor) {
    struct pickle_visit visit = {.visitor = visitor};
    filtags_status status = FILTAGS_OK;
    while (visit.visitor) {
        struct pickle_source source;
        struct pickle_visit again;
        status = bytes ? pickle_source_open_memory(&source, bytes, n_bytes, name)
                       : pickle_source_open_file(&source, name);
        if (status) {
            pickle_source_close(&source);
            free(visit.told_sizes);
            return status;
        }
        status = visit_all(source, name, limit_bytes, &visit, &again);
        visit = again;
    }
    return status;
}

filtags_status pickle_file_visit(const char *path, size_t limit_bytes, const struct pickle_visitor *visitor) {
    return visit_source(NULL, 0, path, limit_bytes, visitor);
}

filtags_status pickle_memory_visit(const void *bytes, size_t n_bytes, const char *name, size_t limit_bytes,
                                   const struct pickle_visitor *visitor) {
    return visit_source(bytes, n_bytes, name, limit_bytes, visitor);
}

filtags_status pickle_file_probe(const char *path) {
    struct pickle_source source;
    filtags_status status = pickle_source_open_file(&source, path);
    if (!status) status = check_start(&source);
    pickle_source_close(&source);
    return status;
}

filtags_status pickle_file_open(const char *path, size_t limit_bytes, struct pickle_file **file) {
    struct pickle_reader reader = {0};
    filtags_status status = pickle_source_open_file(&reader.source, path);
    if (!status) return read_all(&reader, path, limit_bytes, file);
    pickle_source_close(&reader.source);
    return status;
}

filtags_status pickle_memory_open(const void *bytes, size_t n_bytes, const char *name, size_t limit_bytes,
                                  struct pickle_file **file) {
    struct pickle_reader reader = {0};
    filtags_status status = pickle_source_open_memory(&reader.source, bytes, n_bytes, name);
    if (!status) return read_all(&reader, name, limit_bytes, file);
    pickle_source_close(&reader.source);
    return status;
}
