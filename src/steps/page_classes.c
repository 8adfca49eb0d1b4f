#include "steps/page_classes.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "labels/labels.h"

/* A text and what it belongs to, for looking up. */
struct named {
    const char *text;
    size_t index;
};

struct matcher {
    const char *const *labels;
    size_t n_labels;
    const struct activation_classes *activations;
    struct named *by_label;   /* [activations->n] sorted */
    struct named *by_decoded; /* [n_decoded] sorted */
    size_t n_decoded;
    struct named *unknown;    /* [n_unknown] labels that have no class, sorted */
    size_t *label_of_class;   /* [activations->n] 1 + the label that is the class; 0: none */
    bool *is_dropped;         /* [activations->n] one of several that a label stands for */
    bool *is_ambiguous;       /* [n_labels] */
};

static int compare_named(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    int difference = strcmp(x->text, y->text);
    return difference ? difference : x->index < y->index ? -1 : x->index > y->index;
}

static int compare_text(const void *text, const void *named) {
    return strcmp(text, ((const struct named *)named)->text);
}

static struct named *find(const char *text, struct named *names, size_t n) {
    return n ? bsearch(text, names, n, sizeof *names, compare_text) : NULL;
}

/* The class of ImageNet that a text names: by its wnid, or as listings tell classes of one label apart, "crane
 * (n02012849)". NULL: none. */
static const struct imagenet_class *find_imagenet(const char *text) {
    enum { WNID_LENGTH = 9 };
    size_t length = strlen(text);
    bool is_listed = length > WNID_LENGTH + 3 && strncmp(text + length - (WNID_LENGTH + 3), " (", 2) == 0;
    const char *wnid = is_listed ? text + length - (WNID_LENGTH + 1) : text;
    if (wnid[0] != 'n' || strlen(wnid) != (size_t)WNID_LENGTH + is_listed) return NULL;
    const struct imagenet_class *classes = imagenet_classes();
    for (size_t i = 0; i < IMAGENET_N_CLASSES; i++) {
        size_t label_length = strlen(classes[i].label);
        if (strncmp(classes[i].wnid, wnid, WNID_LENGTH) != 0) continue;
        if (!is_listed || (label_length + WNID_LENGTH + 3 == length && !strncmp(classes[i].label, text, label_length)))
            return &classes[i];
    }
    return NULL;
}

static filtags_status matcher_create(struct matcher *matcher) {
    const struct activation_classes *activations = matcher->activations;
    matcher->by_label = memory_new(activations->n, sizeof *matcher->by_label);
    matcher->by_decoded = memory_new(activations->n, sizeof *matcher->by_decoded);
    matcher->unknown = memory_new(matcher->n_labels, sizeof *matcher->unknown);
    matcher->label_of_class = memory_new(activations->n, sizeof *matcher->label_of_class);
    matcher->is_dropped = memory_new(activations->n, sizeof *matcher->is_dropped);
    matcher->is_ambiguous = memory_new(matcher->n_labels, sizeof *matcher->is_ambiguous);
    if (!matcher->by_label || !matcher->by_decoded || !matcher->unknown || !matcher->label_of_class ||
        !matcher->is_dropped || !matcher->is_ambiguous)
        return FILTAGS_ERROR_MEMORY;
    for (size_t i = 0; i < activations->n; i++) {
        const struct imagenet_class *known = find_imagenet(activations->labels[i]);
        matcher->by_label[i] = (struct named){activations->labels[i], i};
        if (known) matcher->by_decoded[matcher->n_decoded++] = (struct named){known->label, i};
    }
    qsort(matcher->by_label, activations->n, sizeof *matcher->by_label, compare_named);
    qsort(matcher->by_decoded, matcher->n_decoded, sizeof *matcher->by_decoded, compare_named);
    return FILTAGS_OK;
}

static void matcher_free(struct matcher *matcher) {
    free(matcher->by_label);
    free(matcher->by_decoded);
    free(matcher->unknown);
    free(matcher->label_of_class);
    free(matcher->is_dropped);
    free(matcher->is_ambiguous);
}

/* Returns the class that a decoded label is, or SIZE_MAX: it is none, or any of several, which are dropped. */
static size_t match_decoded(struct matcher *matcher, size_t label) {
    struct named *first = find(matcher->labels[label], matcher->by_decoded, matcher->n_decoded);
    if (!first) return SIZE_MAX;
    struct named *end = first + 1, *all = matcher->by_decoded;
    while (first > all && strcmp(first[-1].text, first->text) == 0) first--;
    while (end < all + matcher->n_decoded && strcmp(end->text, first->text) == 0) end++;
    if (end == first + 1) return first->index;
    matcher->is_ambiguous[label] = true;
    for (struct named *one = first; one < end; one++) matcher->is_dropped[one->index] = true;
    return SIZE_MAX;
}

/* Returns how many labels have no class. */
static size_t match_labels(struct matcher *matcher) {
    size_t n_unknown = 0;
    for (size_t i = 0; i < matcher->n_labels; i++) {
        struct named *exact = find(matcher->labels[i], matcher->by_label, matcher->activations->n);
        const struct imagenet_class *known = exact ? NULL : find_imagenet(matcher->labels[i]);
        if (known) exact = find(known->wnid, matcher->by_label, matcher->activations->n);
        size_t class_index = exact ? exact->index : match_decoded(matcher, i);
        if (class_index != SIZE_MAX && !matcher->label_of_class[class_index])
            matcher->label_of_class[class_index] = i + 1;
        else matcher->unknown[n_unknown++] = (struct named){matcher->labels[i], i};
    }
    qsort(matcher->unknown, n_unknown, sizeof *matcher->unknown, compare_named);
    return n_unknown;
}

static void fill(const struct matcher *matcher, struct page_classes *classes) {
    const struct activation_classes *activations = matcher->activations;
    for (size_t i = 0; i < activations->n; i++) {
        const char *own = activations->labels[i];
        const struct imagenet_class *known = find_imagenet(own);
        size_t label = matcher->label_of_class[i];
        if (matcher->is_dropped[i] && !label) continue;
        const char *key = label ? matcher->labels[label - 1] : own;
        if (label) classes->class_of_label[label - 1] = (uint32_t)classes->n;
        classes->items[classes->n++] = (struct page_class){.key = key,
                                                           .label = known ? known->label : key,
                                                           .wnid = known ? known->wnid : NULL,
                                                           .number = activations->first_number + i,
                                                           .row = activations->rows[i]};
    }
    for (size_t i = 0; i < classes->n_unknown; i++) {
        const struct named *one = &matcher->unknown[i];
        const struct imagenet_class *known = find_imagenet(one->text);
        classes->class_of_label[one->index] = (uint32_t)classes->n;
        classes->items[classes->n++] = (struct page_class){.key = one->text,
                                                           .label = known ? known->label : one->text,
                                                           .wnid = known ? known->wnid : NULL,
                                                           .number = SIZE_MAX,
                                                           .is_ambiguous = matcher->is_ambiguous[one->index]};
    }
}

filtags_status page_classes_create(const char *const *labels, size_t n_labels,
                                   const struct activation_classes *activations, struct page_classes *result) {
    struct matcher matcher = {.labels = labels, .n_labels = n_labels, .activations = activations};
    struct page_classes classes = {0};
    filtags_status status = matcher_create(&matcher);
    classes.items = memory_new(n_labels + activations->n, sizeof *classes.items);
    classes.class_of_label = memory_new(n_labels, sizeof *classes.class_of_label);
    if (!classes.items || !classes.class_of_label) status = FILTAGS_ERROR_MEMORY;
    if (!status) {
        classes.n_unknown = match_labels(&matcher);
        fill(&matcher, &classes);
        *result = classes;
    } else {
        page_classes_free(&classes);
    }
    matcher_free(&matcher);
    return status;
}

void page_classes_free(struct page_classes *classes) {
    free(classes->items);
    free(classes->class_of_label);
    *classes = (struct page_classes){0};
}

static json_t *class_to_json(const struct page_class *one, size_t row) {
    json_t *object = json_object();
    json_object_set_new(object, "key", json_text(one->key));
    if (strcmp(one->label, one->key) != 0) json_object_set_new(object, "label", json_text(one->label));
    if (one->wnid) json_object_set_new(object, "wnid", json_text(one->wnid));
    if (one->number != SIZE_MAX) json_object_set_new(object, "number", json_integer((json_int_t)one->number));
    if (one->row) json_object_set_new(object, "row", json_integer((json_int_t)row));
    if (one->is_ambiguous) json_object_set_new(object, "ambiguous", json_true());
    return object;
}

json_t *page_classes_to_json(const struct page_classes *classes) {
    json_t *list = json_array();
    for (size_t i = 0, row = 0; i < classes->n; i++) {
        if (json_array_append_new(list, class_to_json(&classes->items[i], row))) {
            json_decref(list);
            return NULL;
        }
        row += classes->items[i].row != NULL;
    }
    return list;
}

size_t page_classes_rows(const struct page_classes *classes, const float **rows) {
    size_t n = 0;
    for (size_t i = 0; i < classes->n; i++) {
        if (classes->items[i].row) rows[n++] = classes->items[i].row;
    }
    return n;
}
