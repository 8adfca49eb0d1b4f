/* option_values.c - option values: from text to typed fields. Every failure here is a USAGE error that
 * names the option, what was expected and what was found. */
#include <ctype.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/suggestion.h"
#include "options/options.h"

enum { MAX_LIST_ITEMS = 10000 };

static locale_t c_locale;
static pthread_once_t c_locale_once = PTHREAD_ONCE_INIT;

static void make_c_locale(void) { c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0); }

/* Parse a decimal number that is the whole of text. The program's locale must not matter (decimal comma), and
 * strtod's hexadecimals, infinities and NaNs are not wanted. */
static bool parse_number(const char *text, double *value) {
    char *end;
    if (!*text || text[strspn(text, "+-.0123456789eE")]) return false;
    pthread_once(&c_locale_once, make_c_locale);
    double number = c_locale ? strtod_l(text, &end, c_locale) : strtod(text, &end);
    if (end == text || *end || !isfinite(number)) return false;
    *value = number;
    return true;
}

static bool parse_whole_number(const char *text, double *value) {
    double number;
    size_t n_sign = *text == '-' || *text == '+';
    if (!text[n_sign] || text[n_sign + strspn(text + n_sign, "0123456789")]) return false;
    if (!parse_number(text, &number)) return false;
    *value = number;
    return true;
}

static filtags_status report_value(const struct option_row *row, const char *expected, const char *found) {
    return error_set(FILTAGS_ERROR_USAGE, "--%s: %s expected, found '%s'", row->name, expected, found);
}

static filtags_status report_range(const struct option_row *row, const char *kind, const char *found) {
    return error_set(FILTAGS_ERROR_USAGE, "--%s: %s from %.10g to %.10g expected, found '%s'", row->name, kind,
                     row->lowest,
                     row->highest, found);
}

static bool is_in_range(const struct option_row *row, double value) {
    return value >= row->lowest && value <= row->highest;
}

static filtags_status parse_integer(const struct option_row *row, const char *text, uint64_t *field) {
    double value;
    if (!parse_whole_number(text, &value) || !is_in_range(row, value)) return report_range(row, "a whole number", text);
    *field = (uint64_t)value;
    return FILTAGS_OK;
}

static filtags_status parse_real(const struct option_row *row, const char *text, double *field) {
    double value;
    if (!parse_number(text, &value) || !is_in_range(row, value)) return report_range(row, "a number", text);
    *field = value == 0 ? 0 : value; /* no negative zero */
    return FILTAGS_OK;
}

const char *choice_find(const char *choices, const char *text, size_t *n_characters, int *place) {
    *place = 0;
    for (const char *choice = choices; *choice; (*place)++) {
        *n_characters = strcspn(choice, "|");
        if (strlen(text) == *n_characters && !strncasecmp(text, choice, *n_characters)) return choice;
        choice += *n_characters + (choice[*n_characters] == '|');
    }
    return NULL;
}

filtags_status choice_report_unknown(const char *choices, const char *prefix, const char *text) {
    struct suggestion meant = suggestion_of(text);
    char room[128];
    for (const char *choice = choices; *choice;) {
        const size_t n = strcspn(choice, "|");
        suggestion_offer(&meant, choice, n);
        choice += n + (choice[n] == '|');
    }
    return error_set(FILTAGS_ERROR_USAGE, "%sone of %s expected, found '%s'%s", prefix, choices, text,
                     suggestion_text(&meant, room));
}

static filtags_status report_choice(const struct option_row *row, const char *text) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "--%s: ", row->name);
    return choice_report_unknown(row->choices, prefix, text);
}

static filtags_status parse_choice(const struct option_row *row, const char *text, int *field) {
    size_t n;
    int place;
    if (!choice_find(row->choices, text, &n, &place)) return report_choice(row, text);
    *field = place;
    return FILTAGS_OK;
}

static filtags_status parse_word(const struct option_row *row, const char *text, char **field) {
    size_t n;
    int place;
    const char *choice = choice_find(row->choices, text, &n, &place);
    if (!choice) return report_choice(row, text);
    char *copy = memory_format("%.*s", (int)n, choice);
    if (!copy) return FILTAGS_ERROR_MEMORY;
    free(*field);
    *field = copy;
    return FILTAGS_OK;
}

static filtags_status parse_text(const struct option_row *row, const char *text, char **field) {
    if (!*text) {
        const char *expected = row->type == OPTION_IS_PATH ? "the name of a file or folder" : "a value";
        return report_value(row, expected, text);
    }
    char *copy = memory_copy_string(text);
    if (!copy) return FILTAGS_ERROR_MEMORY;
    free(*field);
    *field = copy;
    return FILTAGS_OK;
}

/* Two whole numbers with one of the separators between them. */
static bool parse_pair(const char *text, const char *separators, double *first, double *second) {
    char digits[32];
    size_t n = strcspn(text, separators);
    if (!text[n] || n >= sizeof digits) return false;
    memcpy(digits, text, n);
    digits[n] = '\0';
    return parse_whole_number(digits, first) && parse_whole_number(text + n + 1, second);
}

static filtags_status parse_size(const struct option_row *row, const char *text, struct picture_size *field) {
    double height, width;
    if (!parse_pair(text, "xX", &height, &width)) goto wrong;
    if (!is_in_range(row, height) || !is_in_range(row, width)) goto wrong;
    *field = (struct picture_size){.height = (size_t)height, .width = (size_t)width};
    return FILTAGS_OK;
wrong:
    return error_set(FILTAGS_ERROR_USAGE, "--%s: HxW such as 224x224, each from %.0f to %.0f, expected, found '%s'",
                     row->name, row->lowest, row->highest, text);
}

/* "i/n" */
static filtags_status parse_shard(const struct option_row *row, const char *text, struct shard *field) {
    double i, n;
    if (!parse_pair(text, "/", &i, &n)) goto wrong;
    if (!is_in_range(row, n) || i < 1 || i > n) goto wrong;
    *field = (struct shard){.i = (size_t)i, .n = (size_t)n};
    return FILTAGS_OK;
wrong:
    return error_set(FILTAGS_ERROR_USAGE, "--%s: I/N such as 1/8, I from 1 to N, N up to %.0f, expected, found '%s'",
                     row->name, row->highest, text);
}

/* An item of a list: one number, or a range of whole numbers. */
struct list_item {
    double first, last;
    bool is_range;
};

/* Split "LOW..HIGH". Returns false where item is no range in that form. */
static bool parse_range(const char *item, struct list_item *range) {
    char low[32];
    const char *dots = strstr(item, "..");
    size_t n = dots ? (size_t)(dots - item) : sizeof low;
    if (n >= sizeof low) return false;
    memcpy(low, item, n);
    low[n] = '\0';
    range->is_range = true;
    return parse_whole_number(low, &range->first) && parse_whole_number(dots + 2, &range->last) &&
           range->first <= range->last;
}

static const char *const list_forms[] = {
    [OPTION_IS_NUMBERS] = "numbers and ranges such as 1,12.5,0..100",
    [OPTION_IS_COUNTS] = "whole numbers and ranges such as 1,3,5..10",
    [OPTION_IS_NAMES] = "class numbers, ranges such as 1..10, or labels",
};

static filtags_status report_list(const struct option_row *row, const char *item, const char *text) {
    return error_set(FILTAGS_ERROR_USAGE, "--%s: %s, from %.10g to %.10g, expected, found '%s'%s%s%s", row->name,
                     list_forms[row->type], row->lowest, row->highest, item, *item ? "" : " in '", *item ? "" : text,
                     *item ? "" : "'");
}

/* The values of a list while it is read; names stay empty but for a list of names. */
struct list_reader {
    double *values;
    size_t n, capacity;
    size_t n_read; /* repeats included: looking for these is what takes time */
    double greatest;
};

static filtags_status add_value(struct list_reader *list, const struct option_row *row, double value) {
    if (list->n_read++ == MAX_LIST_ITEMS) {
        return error_set(FILTAGS_ERROR_USAGE, "--%s: at most %d values expected, found more", row->name,
                         MAX_LIST_ITEMS);
    }
    bool is_new = list->n == 0 || value > list->greatest;
    for (size_t i = 0; i < list->n && !is_new; i++) {
        if (list->values[i] == value) return FILTAGS_OK;
    }
    if (is_new) list->greatest = value;
    void *values = list->values;
    if (memory_grow(&values, &list->capacity, list->n + 1, sizeof *list->values)) return FILTAGS_ERROR_MEMORY;
    list->values = values;
    list->values[list->n++] = value == 0 ? 0 : value;
    return FILTAGS_OK;
}

static filtags_status add_numbers(struct list_reader *list, const struct option_row *row, const char *item,
                                  const char *text) {
    struct list_item range = {0};
    bool is_read = strstr(item, "..")                 ? parse_range(item, &range)
                   : row->type == OPTION_IS_COUNTS    ? parse_whole_number(item, &range.first)
                                                      : parse_number(item, &range.first);
    if (!range.is_range) range.last = range.first;
    bool is_valid = is_read && is_in_range(row, range.first) && is_in_range(row, range.last);
    if (!is_valid) return report_list(row, item, text);
    for (double value = range.first; value <= range.last; value++) {
        filtags_status status = add_value(list, row, value);
        if (status) return status;
    }
    return FILTAGS_OK;
}

/* Take the next item of a comma list off *text: blanks around it removed, in place. NULL at the end. */
static char *next_item(char **text) {
    char *item = *text;
    if (!item) return NULL;
    char *comma = strchr(item, ',');
    *text = comma ? comma + 1 : NULL;
    if (comma) *comma = '\0';
    while (isspace((unsigned char)*item)) item++;
    size_t n = strlen(item);
    while (n && isspace((unsigned char)item[n - 1])) item[--n] = '\0';
    return item;
}

static filtags_status read_numbers(const struct option_row *row, const char *text, struct list_reader *list) {
    filtags_status status = FILTAGS_OK;
    char *copy = memory_copy_string(text), *rest = copy, *item;
    if (!copy) return FILTAGS_ERROR_MEMORY;
    while (!status && (item = next_item(&rest))) status = add_numbers(list, row, item, text);
    free(copy);
    return status;
}

static filtags_status parse_numbers(const struct option_row *row, const char *text, struct number_list *field) {
    struct list_reader list = {0};
    filtags_status status = read_numbers(row, text, &list);
    if (status) {
        free(list.values);
        return status;
    }
    free(field->values);
    *field = (struct number_list){.values = list.values, .n = list.n};
    return FILTAGS_OK;
}

static filtags_status parse_counts(const struct option_row *row, const char *text, struct count_list *field) {
    struct list_reader list = {0};
    filtags_status status = read_numbers(row, text, &list);
    size_t *values = status ? NULL : memory_new(list.n, sizeof *values);
    if (!status && !values) status = FILTAGS_ERROR_MEMORY;
    if (!status) {
        for (size_t i = 0; i < list.n; i++) values[i] = (size_t)list.values[i];
        free(field->values);
        *field = (struct count_list){.values = values, .n = list.n};
    }
    free(list.values);
    return status;
}

void text_list_free(struct text_list *list) {
    for (size_t i = 0; i < list->n; i++) free(list->items[i]);
    free(list->items);
    *list = (struct text_list){0};
}

/* A list of names while it is read. */
struct name_reader {
    struct text_list list;
    size_t capacity;
    size_t n_read; /* repeats included */
    void *known;   /* the list's items as a tree of tsearch */
};

static int compare_names(const void *a, const void *b) { return strcmp(a, b); }

static void keep_name(void *name) { (void)name; /* the list's */ }

/* Takes name over. */
static filtags_status add_name(struct name_reader *reader, const struct option_row *row, char *name) {
    struct text_list *list = &reader->list;
    void *items = list->items;
    if (!name) return FILTAGS_ERROR_MEMORY;
    filtags_status status = FILTAGS_OK;
    bool is_known = tfind(name, &reader->known, compare_names) != NULL;
    if (reader->n_read++ == MAX_LIST_ITEMS) {
        status = error_set(FILTAGS_ERROR_USAGE, "--%s: at most %d values expected, found more", row->name,
                           MAX_LIST_ITEMS);
    } else if (!is_known && memory_grow(&items, &reader->capacity, list->n + 1, sizeof *list->items)) {
        status = FILTAGS_ERROR_MEMORY;
    } else if (!is_known) {
        list->items = items; /* the old ones may be gone */
        if (!tsearch(name, &reader->known, compare_names)) status = error_out_of_memory(sizeof *items);
    }
    if (status || is_known) {
        free(name);
        return status;
    }
    list->items[list->n++] = name;
    return FILTAGS_OK;
}

/* A range of class numbers is written out; whatever is no range may be a label. */
static filtags_status add_names(struct name_reader *reader, const struct option_row *row, const char *item,
                                const char *text) {
    struct list_item range = {0};
    if (!*item) return report_list(row, item, text);
    if (!parse_range(item, &range)) return add_name(reader, row, memory_copy_string(item));
    if (!is_in_range(row, range.first) || !is_in_range(row, range.last)) return report_list(row, item, text);
    for (double number = range.first; number <= range.last; number++) {
        filtags_status status = add_name(reader, row, memory_format("%.0f", number));
        if (status) return status;
    }
    return FILTAGS_OK;
}

static filtags_status parse_names(const struct option_row *row, const char *text, struct text_list *field) {
    struct name_reader reader = {.n_read = 0};
    filtags_status status = FILTAGS_OK;
    char *copy = memory_copy_string(text), *rest = copy, *item;
    if (!copy) return FILTAGS_ERROR_MEMORY;
    while (!status && (item = next_item(&rest))) status = add_names(&reader, row, item, text);
    free(copy);
    tdestroy(reader.known, keep_name);
    if (status) {
        text_list_free(&reader.list);
        return status;
    }
    text_list_free(field);
    *field = reader.list;
    return FILTAGS_OK;
}

static filtags_status parse_flag(const struct option_row *row, const char *text, bool *field) {
    if (*text) return error_set(FILTAGS_ERROR_USAGE, "--%s: no value expected, found '%s'", row->name, text);
    *field = true;
    return FILTAGS_OK;
}

filtags_status option_value_parse(const struct option_row *row, const char *text, void *field) {
    if (!text) text = "";
    switch (row->type) {
    case OPTION_IS_FLAG: return parse_flag(row, text, field);
    case OPTION_IS_TEXT:
    case OPTION_IS_PATH: return parse_text(row, text, field);
    case OPTION_IS_CHOICE: return parse_choice(row, text, field);
    case OPTION_IS_WORD: return parse_word(row, text, field);
    case OPTION_IS_INTEGER: return parse_integer(row, text, field);
    case OPTION_IS_REAL: return parse_real(row, text, field);
    case OPTION_IS_NUMBERS: return parse_numbers(row, text, field);
    case OPTION_IS_COUNTS: return parse_counts(row, text, field);
    case OPTION_IS_NAMES: return parse_names(row, text, field);
    case OPTION_IS_SIZE: return parse_size(row, text, field);
    case OPTION_IS_SHARD: return parse_shard(row, text, field);
    }
    return error_set(FILTAGS_ERROR_INTERNAL, "--%s: option type %d is unknown", row->name, (int)row->type);
}

void option_value_free(const struct option_row *row, void *field) {
    if (row->type == OPTION_IS_TEXT || row->type == OPTION_IS_PATH || row->type == OPTION_IS_WORD)
        free(*(char **)field);
    if (row->type == OPTION_IS_NUMBERS) free(((struct number_list *)field)->values);
    if (row->type == OPTION_IS_COUNTS) free(((struct count_list *)field)->values);
    if (row->type == OPTION_IS_NAMES) text_list_free(field);
}
