#include "steps/picture_list.h"

#include <stdlib.h>

#include "base/memory.h"

filtags_status picture_list_create(const filtags_dataset *dataset, bool is_test, size_t limit,
                                   struct picture_list *result) {
    struct picture_list list = {0};
    list.n_all = is_test ? filtags_dataset_n_test(dataset) : filtags_dataset_n_train(dataset);
    size_t *n_taken = memory_new(filtags_dataset_n_classes(dataset), sizeof *n_taken);
    list.files = memory_new(list.n_all, sizeof *list.files);
    list.class_of = memory_new(list.n_all, sizeof *list.class_of);
    list.is_bad = memory_new(list.n_all, sizeof *list.is_bad);
    if (!n_taken || !list.files || !list.class_of || !list.is_bad) {
        free(n_taken);
        picture_list_free(&list);
        return FILTAGS_ERROR_MEMORY;
    }
    for (size_t i = 0; i < list.n_all; i++) {
        size_t class_index;
        const char *file = is_test ? filtags_dataset_test_file(dataset, i, &class_index)
                                   : filtags_dataset_train_file(dataset, i, &class_index);
        if (limit && n_taken[class_index] >= limit) continue;
        n_taken[class_index]++;
        list.class_of[list.n_files] = (uint32_t)class_index;
        list.files[list.n_files++] = file;
    }
    free(n_taken);
    *result = list;
    return FILTAGS_OK;
}

void picture_list_keep_class(struct picture_list *list, const filtags_dataset *dataset, bool is_test,
                             size_t class_index) {
    size_t n_all = 0, n_kept = 0;
    for (size_t i = 0; i < list->n_all; i++) {
        size_t class_of;
        if (is_test) filtags_dataset_test_file(dataset, i, &class_of);
        else filtags_dataset_train_file(dataset, i, &class_of);
        n_all += class_of == class_index;
    }
    for (size_t i = 0; i < list->n_files; i++) {
        if (list->class_of[i] != class_index) continue;
        list->class_of[n_kept] = list->class_of[i];
        list->files[n_kept++] = list->files[i];
    }
    list->n_files = n_kept;
    list->n_all = n_all;
}

void picture_list_free(struct picture_list *list) {
    free(list->files);
    free(list->class_of);
    free(list->is_bad);
    *list = (struct picture_list){0};
}

/* Pictures a second; 0 where no time has passed. */
static double picture_rate(const struct picture_list *list, const struct runner_totals *totals) {
    return totals->elapsed_sec > 0 ? (double)(list->n_files - totals->n_before) / totals->elapsed_sec : 0;
}

void picture_list_report_time(const struct picture_list *list, const struct runner_totals *totals, double total_sec,
                              struct buffer *to) {
    double rate = picture_rate(list, totals);
    buffer_printf(to, "; %.1f s", total_sec);
    if (rate > 0) buffer_printf(to, " (%.1f pictures/s)", rate); /* merge runs none */
    buffer_append_text(to, "\n");
}

void picture_list_report(const struct picture_list *list, const struct runner_totals *totals, struct buffer *to) {
    double rate = picture_rate(list, totals);
    if (totals->n_bad) {
        buffer_printf(to, "  %zu of %zu pictures could not be used: see the warnings log\n", totals->n_bad,
                      list->n_files);
    }
    if (totals->n_stored) {
        buffer_printf(to, "  %zu of %zu pictures were in the store\n", totals->n_stored, list->n_files);
    }
    if (list->n_files < list->n_all && rate > 0) {
        buffer_printf(to, "  limited to %zu of %zu pictures; all of them would take about %.0f s\n", list->n_files,
                      list->n_all, (double)list->n_all / rate);
    }
}
