#include "steps/listing_file.h"

#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/python_text.h"
#include "store/pickle_text.h"

static const char heading[] = "filter tags ";

enum { MOST_VALUES = 20000 };

/* ---------------------------------------------------------------- reading */

/* A label in the tree of those that were seen. */
struct known_label {
    const char *text; /* the tag file's; while looking it up: the line's */
    uint32_t number;
};

struct listing_reader {
    struct step *step;
    const char *name;
    const char *at, *end; /* what is left of the line */
    size_t line;          /* its number, from 1 */
    bool is_at_end;       /* there is no line left */
    const struct number_list *k_q;
    struct tag_file *to;
    size_t labels_capacity;
    void *known_labels; /* tree of struct known_label */
    struct buffer label; /* the one being read */

    struct selector *seen; /* [n_seen] values of the sections so far, left out ones included */
    size_t n_seen, seen_capacity;
    size_t selectors_capacity, tags_capacity;

    bool has_section;
    size_t layer, filter; /* of the section: its layer, and how many filters it has so far */
    size_t *n_filters;    /* [n_layers] sizes of the first value's layers */
    char **layer_names;   /* [n_layers] of the same; "": not named */
    size_t n_layers, sizes_capacity, names_capacity;

    struct tag_table *tags; /* of the section's value; NULL: it is left out */
    size_t offset_capacity, tag_labels_capacity;
};

/* Found is what the line has at place. */
static filtags_status refuse(const struct listing_reader *reader, const char *place, const char *expected) {
    enum { MOST_BYTES = 60 };
    size_t n = (size_t)(reader->end - place), n_shown = n;
    if (n == 0) {
        return error_set(FILTAGS_ERROR_FORMAT, "%s: line %zu: %s expected, found the end of the %s", reader->name,
                         reader->line, expected, reader->is_at_end ? "file" : "line");
    }
    if (n > MOST_BYTES) { /* don't cut a character */
        for (n_shown = MOST_BYTES; n_shown > 0 && ((unsigned char)place[n_shown] & 0xc0) == 0x80; n_shown--) continue;
    }
    return error_set(FILTAGS_ERROR_FORMAT, "%s: line %zu: %s expected, found '%.*s%s'", reader->name, reader->line,
                     expected, (int)n_shown, place, n > n_shown ? "..." : "");
}

/* Move behind a text if it is next. */
static bool take(struct listing_reader *reader, const char *text) {
    size_t n = strlen(text);
    if ((size_t)(reader->end - reader->at) < n || memcmp(reader->at, text, n) != 0) return false;
    reader->at += n;
    return true;
}

/* Digits, without a sign; what doesn't fit is none. */
static bool take_count(struct listing_reader *reader, size_t *count) {
    const char *at = reader->at;
    size_t number = 0;
    for (; at < reader->end && *at >= '0' && *at <= '9'; at++) {
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, *at - '0', &number))
            return false;
    }
    if (at == reader->at) return false;
    reader->at = at;
    *count = number;
    return true;
}

/* ---- labels ---- */

static int compare_labels(const void *a, const void *b) {
    return strcmp(((const struct known_label *)a)->text, ((const struct known_label *)b)->text);
}

/* Make the label that was just read, which is new, one of the tag file's. */
static filtags_status add_label(struct listing_reader *reader, struct known_label *known) {
    struct tag_file *to = reader->to;
    void *labels = to->labels;
    if (memory_grow(&labels, &reader->labels_capacity, to->n_labels + 1, sizeof *to->labels))
        return FILTAGS_ERROR_MEMORY;
    to->labels = labels;
    char *copy = memory_copy_string(known->text);
    if (!copy) return FILTAGS_ERROR_MEMORY;
    known->text = copy;
    known->number = (uint32_t)to->n_labels;
    to->labels[to->n_labels++] = copy;
    return FILTAGS_OK;
}

/* The number of a label; text is a string. */
static filtags_status number_of_label(struct listing_reader *reader, const char *text, uint32_t *number) {
    struct known_label wanted = {.text = text};
    struct known_label *const *found = tfind(&wanted, &reader->known_labels, compare_labels);
    if (found) {
        *number = (*found)->number;
        return FILTAGS_OK;
    }
    struct known_label *known = memory_new(1, sizeof *known);
    if (!known) return FILTAGS_ERROR_MEMORY;
    *known = wanted;
    filtags_status status = add_label(reader, known);
    if (!status && !tsearch(known, &reader->known_labels, compare_labels)) status = error_out_of_memory(sizeof *known);
    if (status) free(known);
    else *number = known->number;
    return status;
}

static void free_known_labels(struct listing_reader *reader) {
    while (reader->known_labels) {
        struct known_label *known = *(struct known_label **)reader->known_labels;
        tdelete(known, &reader->known_labels, compare_labels);
        free(known);
    }
}

/* Take one blank from either side, if there are both. */
static char *strip_blanks(struct buffer *label) {
    size_t n = label->size_bytes;
    if (n < 2 || label->data[0] != ' ' || label->data[n - 1] != ' ') return label->data;
    label->data[n - 1] = '\0';
    return label->data + 1;
}

/* ---- a filter ---- */

static filtags_status add_tag(struct listing_reader *reader) {
    struct tag_table *tags = reader->tags;
    uint64_t n = tags->offset[tags->n_filters]; /* the filter's end moves on */
    void *labels = tags->labels;
    if (memory_grow(&labels, &reader->tag_labels_capacity, n + 1, sizeof *tags->labels)) return FILTAGS_ERROR_MEMORY;
    tags->labels = labels;
    tags->offset[tags->n_filters]++;
    return number_of_label(reader, strip_blanks(&reader->label), &tags->labels[n]);
}

/* "[' chiton ', ' soccer_ball ']" to the end of the line */
static filtags_status read_labels(struct listing_reader *reader) {
    if (!take(reader, "[")) return refuse(reader, reader->at, "[");
    for (size_t n = 0; !take(reader, "]"); n++) {
        if (n && !take(reader, ",")) return refuse(reader, reader->at, ", or ]");
        while (take(reader, " ")) continue;
        reader->label.size_bytes = 0;
        const char *problem = python_parse_literal(&reader->at, reader->end, &reader->label);
        if (problem) return refuse(reader, reader->at, problem);
        buffer_append(&reader->label, "", 0); /* an empty label: a string all the same */
        if (reader->label.has_failed) return FILTAGS_ERROR_MEMORY;
        filtags_status status = reader->tags ? add_tag(reader) : FILTAGS_OK;
        if (status) return status;
    }
    return reader->at == reader->end ? FILTAGS_OK : refuse(reader, reader->at, "the end of the line");
}

static filtags_status begin_filter(struct listing_reader *reader) {
    struct tag_table *tags = reader->tags;
    void *offset = tags->offset;
    if (memory_grow(&offset, &reader->offset_capacity, tags->n_filters + 2, sizeof *tags->offset))
        return FILTAGS_ERROR_MEMORY;
    tags->offset = offset;
    tags->n_filters++;
    tags->offset[tags->n_filters] = tags->offset[tags->n_filters - 1];
    return FILTAGS_OK;
}

/* "0:[' chiton ', ' soccer_ball ']" */
static filtags_status read_filter(struct listing_reader *reader) {
    char expected[80];
    const char *start = reader->at;
    size_t number;
    if (!reader->has_section) return refuse(reader, start, "a heading 'filter tags k=...'");
    if (!take_count(reader, &number) || number != reader->filter || !take(reader, ":")) {
        snprintf(expected, sizeof expected, "filter %zu or a heading 'filter tags ...'", reader->filter);
        return refuse(reader, start, expected);
    }
    reader->filter++;
    filtags_status status = reader->tags ? begin_filter(reader) : FILTAGS_OK;
    return status ? status : read_labels(reader);
}

/* ---- sections ---- */

static bool is_same(struct selector a, struct selector b) { return a.rule == b.rule && a.value == b.value; }

static bool is_wanted(const struct listing_reader *reader, struct selector selector) {
    if (!reader->k_q->n) return true;
    for (size_t i = 0; i < reader->k_q->n; i++) {
        if (reader->k_q->values[i] == selector.value) return true;
    }
    return false;
}

/* A section of the first value's sets the size of a layer, the others must have it. */
static filtags_status end_section(struct listing_reader *reader) {
    char expected[80];
    if (!reader->has_section) return FILTAGS_OK;
    if (reader->n_seen == 1) reader->n_filters[reader->layer] = reader->filter;
    if (reader->filter == 0) return refuse(reader, reader->at, "at least one filter in the section before");
    if (reader->filter == reader->n_filters[reader->layer]) return FILTAGS_OK;
    snprintf(expected, sizeof expected, "filter %zu, as the layer has for the first value", reader->filter);
    if (reader->filter < reader->n_filters[reader->layer]) return refuse(reader, reader->at, expected);
    return error_set(FILTAGS_ERROR_FORMAT, "%s: line %zu: %zu filters in the section before expected, found %zu",
                     reader->name, reader->line, reader->n_filters[reader->layer], reader->filter);
}

static filtags_status end_value(struct listing_reader *reader) {
    char expected[80];
    filtags_status status = end_section(reader);
    if (status || !reader->has_section || reader->layer + 1 == reader->n_layers) return status;
    snprintf(expected, sizeof expected, "layer %zu, as for the first value", reader->layer + 1);
    return refuse(reader, reader->at, expected);
}

/* The tags of a value that is wanted go to a table of the tag file's. */
static filtags_status begin_tags(struct listing_reader *reader, struct selector selector) {
    struct tag_file *to = reader->to;
    void *selectors = to->selectors, *tags = to->tags;
    if (memory_grow(&selectors, &reader->selectors_capacity, to->n_selectors + 1, sizeof *to->selectors))
        return FILTAGS_ERROR_MEMORY;
    to->selectors = selectors;
    if (memory_grow(&tags, &reader->tags_capacity, to->n_selectors + 1, sizeof *to->tags)) return FILTAGS_ERROR_MEMORY;
    to->tags = tags;
    to->selectors[to->n_selectors] = selector;
    reader->tags = &to->tags[to->n_selectors++];
    *reader->tags = (struct tag_table){.offset = memory_new(2, sizeof *reader->tags->offset),
                                       .labels = memory_new(1, sizeof *reader->tags->labels)};
    reader->offset_capacity = 2;
    reader->tag_labels_capacity = 1;
    return reader->tags->offset && reader->tags->labels ? FILTAGS_OK : FILTAGS_ERROR_MEMORY;
}

/* The sections of another value begin. */
static filtags_status begin_value(struct listing_reader *reader, struct selector selector) {
    void *seen = reader->seen;
    if (reader->n_seen == MOST_VALUES) return refuse(reader, reader->at, "at most 20000 values");
    for (size_t i = 0; i < reader->n_seen; i++) {
        if (is_same(reader->seen[i], selector)) return refuse(reader, reader->at, "another value than those before");
    }
    if (memory_grow(&seen, &reader->seen_capacity, reader->n_seen + 1, sizeof *reader->seen))
        return FILTAGS_ERROR_MEMORY;
    reader->seen = seen;
    reader->seen[reader->n_seen++] = selector;
    reader->tags = NULL;
    return is_wanted(reader, selector) ? begin_tags(reader, selector) : FILTAGS_OK;
}

/* The first value's layer gets its name here, "" where it has none; the others must have the same. */
static filtags_status set_layer(struct listing_reader *reader, size_t layer, const char *start, const char *name) {
    if (reader->n_seen > 1) {
        if (layer < reader->n_layers && strcmp(name, reader->layer_names[layer]) == 0) return FILTAGS_OK;
        return refuse(reader, start, "a layer of the first value, with the same name,");
    }
    void *n_filters = reader->n_filters, *names = reader->layer_names;
    if (memory_grow(&n_filters, &reader->sizes_capacity, layer + 1, sizeof *reader->n_filters))
        return FILTAGS_ERROR_MEMORY;
    reader->n_filters = n_filters;
    if (memory_grow(&names, &reader->names_capacity, layer + 1, sizeof *reader->layer_names))
        return FILTAGS_ERROR_MEMORY;
    reader->layer_names = names;
    if (!(reader->layer_names[layer] = memory_copy_string(name))) return FILTAGS_ERROR_MEMORY;
    reader->n_layers++;
    return FILTAGS_OK;
}

/* "k=1", "q=2.5" */
static filtags_status read_value(struct listing_reader *reader, struct selector *selector) {
    const char *start = reader->at;
    bool is_k = take(reader, "k=");
    if (!is_k && !take(reader, "q=")) return refuse(reader, start, "k=... or q=...");
    const char *blank = memchr(reader->at, ' ', (size_t)(reader->end - reader->at));
    size_t n = (size_t)((blank ? blank : reader->end) - reader->at);
    selector->rule = is_k ? FILTAGS_RULE_K : FILTAGS_RULE_Q;
    if (!pickle_text_parse_float(reader->at, n, &selector->value) || !isfinite(selector->value))
        return refuse(reader, start, "a number behind k= or q=");
    reader->at += n;
    return FILTAGS_OK;
}

/* " layer=12 block5_conv3", " layer=12", or nothing: layer 0 without a name */
static filtags_status read_layer(struct listing_reader *reader, size_t *layer, struct buffer *name) {
    const char *start = reader->at;
    *layer = 0;
    if (reader->at == reader->end) return FILTAGS_OK;
    if (!take(reader, " layer=") || !take_count(reader, layer)) return refuse(reader, start, "' layer=NUMBER'");
    if (reader->at == reader->end) return FILTAGS_OK;
    if (!take(reader, " ")) return refuse(reader, reader->at, "a blank and the layer's name");
    const char *problem = python_parse_escaped(&reader->at, reader->end, name);
    if (problem) return refuse(reader, reader->at, problem);
    return name->has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

/* "filter tags k=1 layer=12 block5_conv3" */
static filtags_status read_heading(struct listing_reader *reader, const char *start) {
    char expected[80];
    struct selector selector;
    struct buffer name = {0};
    size_t layer = 0;
    filtags_status status = read_value(reader, &selector);
    if (!status) status = read_layer(reader, &layer, &name);
    reader->at = start; /* what is wrong from here on is said of the whole heading */
    bool is_next_layer = !status && reader->has_section && layer == reader->layer + 1 &&
                         is_same(selector, reader->seen[reader->n_seen - 1]);
    if (!status) status = is_next_layer ? end_section(reader) : end_value(reader);
    if (!status && !is_next_layer && layer != 0) {
        snprintf(expected, sizeof expected, "layer 0 of a new value, or the layer after the one before,");
        status = refuse(reader, start, expected);
    }
    if (!status && !is_next_layer) status = begin_value(reader, selector);
    if (!status) status = set_layer(reader, layer, start, buffer_text(&name));
    reader->has_section = true;
    reader->layer = layer;
    reader->filter = 0;
    buffer_free(&name);
    return status;
}

static filtags_status read_line(struct listing_reader *reader) {
    const char *start = reader->at;
    if (reader->at == reader->end) return FILTAGS_OK; /* blank lines don't matter */
    return take(reader, heading) ? read_heading(reader, start) : read_filter(reader);
}

static filtags_status read_lines(struct listing_reader *reader, const char *bytes, size_t n_bytes) {
    const char *end = bytes + n_bytes;
    filtags_status status = FILTAGS_OK;
    if (n_bytes >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) bytes += 3;
    while (!status && bytes < end) {
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        reader->at = bytes;
        reader->end = newline ? newline : end;
        if (reader->end > bytes && reader->end[-1] == '\r') reader->end--;
        reader->line++;
        status = read_line(reader);
        bytes = newline ? newline + 1 : end;
    }
    reader->line++;
    reader->is_at_end = true;
    reader->at = reader->end = end;
    if (!status && !reader->has_section) status = refuse(reader, end, "a heading 'filter tags k=...'");
    return status ? status : end_value(reader);
}

/* ---- the whole ---- */

/* Move value from up to the place to. */
static void move_value(struct tag_file *tag_file, size_t from, size_t to) {
    struct selector selector = tag_file->selectors[from];
    struct tag_table tags = tag_file->tags[from];
    memmove(tag_file->selectors + to + 1, tag_file->selectors + to, (from - to) * sizeof selector);
    memmove(tag_file->tags + to + 1, tag_file->tags + to, (from - to) * sizeof tags);
    tag_file->selectors[to] = selector;
    tag_file->tags[to] = tags;
}

static void order_all(struct tag_file *to, filtags_rule rule, size_t *n_ordered) {
    for (size_t i = *n_ordered; i < to->n_selectors; i++) {
        if (to->selectors[i].rule == rule) move_value(to, i, (*n_ordered)++);
    }
}

static void order_wanted(struct listing_reader *reader, filtags_rule rule, size_t *n_ordered) {
    struct tag_file *to = reader->to;
    for (size_t w = 0; w < reader->k_q->n; w++) {
        struct selector wanted = {rule, reader->k_q->values[w]};
        size_t i = *n_ordered;
        while (i < to->n_selectors && !is_same(to->selectors[i], wanted)) i++;
        if (i < to->n_selectors) {
            move_value(to, i, (*n_ordered)++);
        } else if (rule == FILTAGS_RULE_Q || wanted.value == floor(wanted.value)) {
            step_log(reader->step, FILTAGS_LOG_WARNING, "%s has no tags for %s = %g: it is left out", reader->name,
                     rule == FILTAGS_RULE_K ? "k" : "q", wanted.value);
        }
    }
}

/* Put the values into the order that tag_file_open gives them: k, then q, and as in k_q. */
static filtags_status order_values(struct listing_reader *reader) {
    struct tag_file *to = reader->to;
    size_t n_ordered = 0;
    for (int i = 0; i < 2; i++) {
        filtags_rule rule = i ? FILTAGS_RULE_Q : FILTAGS_RULE_K;
        if (reader->k_q->n) order_wanted(reader, rule, &n_ordered);
        else order_all(to, rule, &n_ordered);
        if (rule == FILTAGS_RULE_K) to->n_k = n_ordered;
    }
    if (to->n_selectors) return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_DATA, "%s: tags for one of the values of --k-q expected, found none", reader->name);
}

static void free_names(char **names, size_t n) {
    for (size_t i = 0; names && i < n; i++) free(names[i]);
    free(names);
}

filtags_status listing_memory_open(struct step *step, const char *bytes, size_t n_bytes, const char *name,
                                   const struct number_list *k_q, struct listing_file *result) {
    struct listing_file listing = {0};
    struct listing_reader reader = {.step = step, .name = name, .k_q = k_q, .to = &listing.tags};
    filtags_status status = read_lines(&reader, bytes, n_bytes);
    if (!status) status = order_values(&reader);
    if (!status) status = filter_table_create(reader.n_filters, reader.n_layers, &listing.tags.table);
    if (!status) {
        bool has_names = false;
        for (size_t i = 0; i < reader.n_layers; i++) has_names = has_names || *reader.layer_names[i];
        if (has_names) {
            listing.layer_names = reader.layer_names;
            reader.layer_names = NULL;
        }
    }
    free_names(reader.layer_names, reader.n_layers);
    free_known_labels(&reader);
    buffer_free(&reader.label);
    free(reader.n_filters);
    free(reader.seen);
    if (status) listing_file_close(&listing);
    else *result = listing;
    return status;
}

filtags_status listing_file_open(struct step *step, const char *path, const struct number_list *k_q,
                                 struct listing_file *listing) {
    struct buffer text = {0};
    filtags_status status = file_read(path, LISTING_LIMIT_BYTES, &text);
    if (!status) status = listing_memory_open(step, buffer_text(&text), text.size_bytes, path, k_q, listing);
    buffer_free(&text);
    return status;
}

void listing_file_close(struct listing_file *listing) {
    free_names(listing->layer_names, listing->tags.table.n_layers);
    tag_file_close(&listing->tags);
    *listing = (struct listing_file){0};
}

/* ---------------------------------------------------------------- writing */

/* As Python prints a number: "5", "2.5". */
static void append_number(struct buffer *to, double value) {
    char text[40];
    for (int precision = 1; precision <= 17; precision++) { /* the shortest that is read back as the same */
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value) break;
    }
    if (value == floor(value) && fabs(value) < 9007199254740992.0) snprintf(text, sizeof text, "%.0f", value);
    buffer_append_text(to, text);
}

static void append_heading(struct buffer *to, const struct tag_file *tags, size_t selector, size_t layer,
                           const char *const *layer_names) {
    buffer_printf(to, "%s%c=", heading, selector < tags->n_k ? 'k' : 'q');
    append_number(to, tags->selectors[selector].value);
    if (tags->n_selectors > 1 || tags->table.n_layers > 1) {
        buffer_printf(to, " layer=%zu", layer);
        if (layer_names && *layer_names[layer]) {
            buffer_append_text(to, " ");
            python_append_escaped(to, layer_names[layer]);
        }
    }
    buffer_append_text(to, "\n");
}

/* What stands for each label, [n]: written once here, it is copied for every tag. MEMORY. */
static filtags_status quote_labels(const char *const *labels, size_t n, struct buffer **result) {
    struct buffer padded = {0}, *quoted = memory_new(n, sizeof *quoted);
    bool has_failed = !quoted;
    for (size_t i = 0; i < n && !has_failed; i++) {
        padded.size_bytes = 0;
        buffer_printf(&padded, " %s ", labels[i]);
        python_append_repr(&quoted[i], buffer_text(&padded));
        has_failed = padded.has_failed || quoted[i].has_failed;
    }
    buffer_free(&padded);
    *result = quoted;
    return has_failed ? FILTAGS_ERROR_MEMORY : FILTAGS_OK;
}

static void append_filter(struct buffer *to, size_t number, const struct tag_table *tags, size_t filter,
                          const struct buffer *quoted) {
    buffer_printf(to, "%zu:[", number);
    for (uint64_t i = tags->offset[filter]; i < tags->offset[filter + 1]; i++) {
        const struct buffer *label = &quoted[tags->labels[i]];
        if (i > tags->offset[filter]) buffer_append(to, ", ", 2);
        buffer_append(to, label->data, label->size_bytes);
    }
    buffer_append(to, "]\n", 2);
}

filtags_status listing_write(FILE *stream, const char *path, const struct tag_file *tags, const char *const *labels,
                             const char *const *layer_names) {
    const struct filter_table *table = &tags->table;
    struct buffer line = {0}, *quoted;
    filtags_status status = quote_labels(labels, tags->n_labels, &quoted);
    for (size_t s = 0; !status && s < tags->n_selectors; s++) {
        for (size_t layer = 0; layer < table->n_layers; layer++) {
            append_heading(&line, tags, s, layer, layer_names);
            for (size_t filter = table->first[layer]; filter < table->first[layer + 1]; filter++) {
                append_filter(&line, filter - table->first[layer], &tags->tags[s], filter, quoted);
                fwrite(buffer_text(&line), 1, line.size_bytes, stream);
                line.size_bytes = 0;
            }
        }
    }
    if (!status && line.has_failed) status = FILTAGS_ERROR_MEMORY;
    if (!status && ferror(stream))
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: could not be written whole", path);
    for (size_t i = 0; quoted && i < tags->n_labels; i++) buffer_free(&quoted[i]);
    free(quoted);
    buffer_free(&line);
    return status;
}
