#include "model/hdf5_serve.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/wire.h"
#include "model/hdf5_parse.h"

enum { MAX_STARTS = 16 };

/* A question's arguments, at most two of them texts. */
struct question {
    struct wire_reader rest;
    char *first, *second;
};

static bool take_text(struct question *question, char **text) {
    *text = wire_text(&question->rest, HDF5_MAX_TEXT_BYTES);
    return *text != NULL;
}

static void put_dataset(struct buffer *answer, const struct hdf5_dataset *dataset) {
    wire_put_number(answer, dataset->type);
    wire_put_number(answer, dataset->n_dims);
    for (size_t i = 0; i < dataset->n_dims; i++) wire_put_number(answer, dataset->dim[i]);
    wire_put_number(answer, dataset->value_bytes);
    wire_put_number(answer, dataset->is_big_endian);
    wire_put_number(answer, dataset->offset);
    wire_put_number(answer, dataset->piece_rows);
}

static filtags_status malformed_question(void) {
    return error_set(FILTAGS_ERROR_INTERNAL, "the reader has got a malformed question");
}

static filtags_status answer_open(struct hdf5_server *server) {
    return server->file ? malformed_question() : parse_open(server->bytes, server->size_bytes, &server->file);
}

static filtags_status answer_text(struct hdf5_server *server, struct question *question, struct buffer *answer) {
    char *text = NULL;
    if (!take_text(question, &question->first)) return malformed_question();
    filtags_status status = parse_text(server->file, question->first, &text);
    if (status) return status;
    wire_put_number(answer, text != NULL);
    if (text) wire_put_text(answer, text);
    free(text);
    return FILTAGS_OK;
}

static filtags_status answer_has(struct hdf5_server *server, enum hdf5_question kind, struct question *question,
                                 struct buffer *answer) {
    if (!take_text(question, &question->first)) return malformed_question();
    wire_put_number(answer, kind == HDF5_ASK_HAS ? parse_has(server->file, question->first)
                                                 : parse_has_names(server->file, question->first));
    return FILTAGS_OK;
}

static filtags_status answer_names(struct hdf5_server *server, struct question *question, struct buffer *answer) {
    struct hdf5_names names = {0};
    if (!take_text(question, &question->first) || !take_text(question, &question->second)) return malformed_question();
    filtags_status status = parse_names(server->file, question->first, question->second, &names);
    if (status) return status;
    wire_put_number(answer, names.n_names);
    for (size_t i = 0; i < names.n_names; i++) wire_put_text(answer, names.names[i]);
    hdf5_names_free(&names);
    return FILTAGS_OK;
}

static filtags_status answer_list(struct hdf5_server *server, struct question *question, struct buffer *answer) {
    struct hdf5_table table = {0};
    char *starts[MAX_STARTS] = {NULL};
    filtags_status status = FILTAGS_OK;
    size_t n = wire_number_to(&question->rest, MAX_STARTS);
    for (size_t i = 0; !status && i < n; i++) {
        if (!take_text(question, &starts[i])) status = malformed_question();
    }
    if (!status) status = parse_list(server->file, (const char *const *)starts, n, &table);
    if (!status) {
        wire_put_number(answer, table.n_datasets);
        for (size_t i = 0; i < table.n_datasets; i++) {
            wire_put_text(answer, table.datasets[i].path);
            put_dataset(answer, &table.datasets[i]);
        }
    }
    hdf5_table_free(&table);
    for (size_t i = 0; i < n; i++) free(starts[i]);
    return status;
}

static filtags_status answer_locate(struct hdf5_server *server, struct question *question, struct buffer *answer) {
    struct hdf5_dataset dataset;
    if (!take_text(question, &question->first)) return malformed_question();
    filtags_status status = parse_locate(server->file, question->first, &dataset);
    if (!status) put_dataset(answer, &dataset);
    return status;
}

static filtags_status answer_rows(struct hdf5_server *server, struct question *question, struct buffer *answer) {
    struct hdf5_dataset dataset;
    float *values;
    if (!take_text(question, &question->first)) return malformed_question();
    size_t first = wire_number(&question->rest), n = wire_number(&question->rest);
    filtags_status status = parse_locate(server->file, question->first, &dataset);
    if (!status) status = parse_rows(server->file, question->first, first, n, &values);
    if (status) return status;
    wire_put_bytes(answer, values, n * hdf5_row_values(&dataset) * sizeof *values);
    free(values);
    return FILTAGS_OK;
}

static filtags_status answer_question(struct hdf5_server *server, enum hdf5_question kind, struct question *question,
                                      struct buffer *answer) {
    if (kind != HDF5_ASK_OPEN && !server->file) return malformed_question();
    switch (kind) {
    case HDF5_ASK_OPEN: return answer_open(server);
    case HDF5_ASK_TEXT: return answer_text(server, question, answer);
    case HDF5_ASK_HAS:
    case HDF5_ASK_HAS_NAMES: return answer_has(server, kind, question, answer);
    case HDF5_ASK_NAMES: return answer_names(server, question, answer);
    case HDF5_ASK_LIST: return answer_list(server, question, answer);
    case HDF5_ASK_LOCATE: return answer_locate(server, question, answer);
    case HDF5_ASK_ROWS: return answer_rows(server, question, answer);
    case HDF5_N_QUESTIONS: break;
    }
    return malformed_question();
}

bool hdf5_serve(struct hdf5_server *server, const void *question, size_t n_bytes, struct buffer *answer) {
    struct question asked = {.rest = {question, n_bytes, false}};
    size_t start = answer->size_bytes;
    enum hdf5_question kind = (enum hdf5_question)wire_number_to(&asked.rest, HDF5_N_QUESTIONS);
    wire_put_number(answer, FILTAGS_OK);
    filtags_status status = answer_question(server, kind, &asked, answer);
    if (status && !answer->has_failed) {
        answer->size_bytes = start;
        wire_put_number(answer, status);
        wire_put_text(answer, filtags_error_message());
    }
    free(asked.first);
    free(asked.second);
    return !answer->has_failed;
}

void hdf5_server_end(struct hdf5_server *server) {
    parse_close(server->file);
    server->file = NULL;
}
