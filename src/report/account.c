#include "report/account.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "steps/class_activations.h"
#include "store/run_file.h"

enum { N_STRONGEST = 3 };

/* What the account is made from. */
struct account {
    struct class_activations activations;
    struct run_record record; /* for the layers' names; may lack them */
};

static void format_filter(const struct account *account, size_t filter, char *text, size_t size_bytes) {
    const struct filter_table *table = &account->activations.table;
    size_t layer = 0;
    while (filter >= table->first[layer + 1]) layer++;
    if (account->record.n_layers == table->n_layers) {
        snprintf(text, size_bytes, "%s:%zu", account->record.layer_names[layer], filter - table->first[layer]);
    } else {
        snprintf(text, size_bytes, "layer %zu:%zu", layer, filter - table->first[layer]);
    }
}

/* The most active filters of [first, end), strongest first; ties: lower index first. Returns how many. */
static size_t find_strongest(const float *row, size_t first, size_t end, size_t strongest[N_STRONGEST]) {
    size_t n = 0;
    for (size_t i = first; i < end; i++) {
        size_t place = n;
        while (place > 0 && row[i] > row[strongest[place - 1]]) place--;
        if (place == N_STRONGEST) continue;
        if (n < N_STRONGEST) n++;
        memmove(strongest + place + 1, strongest + place, (n - 1 - place) * sizeof *strongest);
        strongest[place] = i;
    }
    return n;
}

/* The filter whose activation exceeds that of every other class by most. */
static size_t find_own(const struct class_activations *activations, size_t class_index, float *margin) {
    size_t own = 0;
    *margin = -2;
    for (size_t i = 0; i < activations->table.first[activations->table.n_layers]; i++) {
        float other = 0;
        for (size_t c = 0; c < activations->n_classes; c++) {
            if (c != class_index && activations->rows[c] && activations->rows[c][i] > other)
                other = activations->rows[c][i];
        }
        float difference = activations->rows[class_index][i] - other;
        if (difference > *margin) {
            *margin = difference;
            own = i;
        }
    }
    return own;
}

static void append_class(struct buffer *to, const struct account *account, size_t class_index, int label_width) {
    const struct class_activations *activations = &account->activations;
    const struct filter_table *table = &activations->table;
    const float *row = activations->rows[class_index]; // [all filters]
    size_t strongest[N_STRONGEST];
    char name[200];
    float margin;
    buffer_printf(to, "  %-*s ", label_width, activations->labels[class_index]);
    if (!row) {
        buffer_append_text(to, " no train picture\n");
        return;
    }
    size_t n = find_strongest(row, table->first[table->n_layers - 1], table->first[table->n_layers], strongest);
    for (size_t i = 0; i < n; i++) {
        format_filter(account, strongest[i], name, sizeof name);
        buffer_printf(to, " %-14s %.2f ", name, (double)row[strongest[i]]);
    }
    size_t own = find_own(activations, class_index, &margin);
    format_filter(account, own, name, sizeof name);
    buffer_printf(to, "| %-16s %.2f (%+.2f)\n", name, (double)row[own], (double)margin);
}

filtags_status account_append(struct buffer *to, const char *activations_path) {
    struct account account = {0};
    bool is_found;
    int label_width = 5;
    filtags_status status = class_activations_open(activations_path, &account.activations);
    if (status) return status;
    status = run_file_read_beside(activations_path, &account.record, &is_found);
    if (!status) {
        for (size_t i = 0; i < account.activations.n_classes; i++) {
            int width = (int)strlen(account.activations.labels[i]);
            if (width > label_width) label_width = width;
        }
        buffer_append_text(
            to,
            "\nwhat excites them: each class's strongest filters in the last layer (layer:filter, class activation),\n"
            "and the filter of any layer that sets it apart most (activation, lead over the next class)\n");
        for (size_t i = 0; i < account.activations.n_classes; i++) append_class(to, &account, i, label_width);
    }
    run_record_free(&account.record);
    class_activations_close(&account.activations);
    return status;
}
