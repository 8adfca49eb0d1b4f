#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/text.h"
#include "store/pickle.h"

/* ---- values as text; tools/make_pickle_goldens.py makes the same ---- */

static void dump(struct buffer *to, const struct pickle_file *file, pickle_value value);

static void dump_escaped(struct buffer *to, const char *bytes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        unsigned char byte = (unsigned char)bytes[i];
        if (byte >= 32 && byte < 127 && byte != '\\' && byte != '\'') buffer_append(to, &bytes[i], 1);
        else buffer_printf(to, "\\x%02x", byte);
    }
}

static void dump_double(struct buffer *to, double number) {
    if (isnan(number)) buffer_append_text(to, "nan");
    else buffer_printf(to, "%.17g", number);
}

static int compare_texts(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void dump_items(struct buffer *to, const struct pickle_file *file, pickle_value value, const char *brackets) {
    size_t n = pickle_length(file, value);
    char **texts = calloc(n + 1, sizeof *texts);
    for (size_t i = 0; i < n; i++) {
        struct buffer item = {0};
        if (pickle_kind_of(file, value) == PICKLE_DICT) {
            pickle_value key, content;
            pickle_pair(file, value, i, &key, &content);
            dump(&item, file, key);
            buffer_append_text(&item, ": ");
            dump(&item, file, content);
        } else {
            dump(&item, file, pickle_item(file, value, i));
        }
        texts[i] = buffer_take(&item);
    }
    if (pickle_kind_of(file, value) == PICKLE_SET) qsort(texts, n, sizeof *texts, compare_texts);
    buffer_append(to, brackets, 1);
    for (size_t i = 0; i < n; i++) {
        buffer_printf(to, "%s%s", i ? ", " : "", texts[i]);
        free(texts[i]);
    }
    buffer_append(to, brackets + 1, 1);
    free(texts);
}

static void dump_array(struct buffer *to, const struct pickle_file *file, pickle_value value) {
    const double *numbers = pickle_array(file, value);
    buffer_append_text(to, "array<");
    for (size_t i = 0; i < pickle_array_n_dims(file, value); i++) {
        buffer_printf(to, "%s%zu", i ? "x" : "", pickle_array_dim(file, value, i));
    }
    buffer_append_text(to, ">[");
    for (size_t i = 0; i < pickle_length(file, value); i++) {
        if (i) buffer_append_text(to, " ");
        dump_double(to, numbers[i]);
    }
    buffer_append_text(to, "]");
}

static void dump(struct buffer *to, const struct pickle_file *file, pickle_value value) {
    size_t n;
    const char *text;
    switch (pickle_kind_of(file, value)) {
    case PICKLE_NONE:
        buffer_append_text(to, "None");
        break;
    case PICKLE_BOOL:
        buffer_append_text(to, pickle_as_int(file, value) ? "True" : "False");
        break;
    case PICKLE_INT:
        buffer_printf(to, "i%" PRId64, pickle_as_int(file, value));
        break;
    case PICKLE_FLOAT:
        dump_double(to, pickle_as_number(file, value));
        break;
    case PICKLE_STR:
    case PICKLE_BYTES:
        text = pickle_as_str(file, value, &n);
        assert_int_equal(text[n], '\0');
        buffer_append_text(to, pickle_kind_of(file, value) == PICKLE_STR ? "'" : "b'");
        dump_escaped(to, text, n);
        buffer_append_text(to, "'");
        break;
    case PICKLE_LIST:
        dump_items(to, file, value, "[]");
        break;
    case PICKLE_TUPLE:
        dump_items(to, file, value, "()");
        break;
    case PICKLE_SET:
    case PICKLE_DICT:
        dump_items(to, file, value, "{}");
        break;
    case PICKLE_ARRAY:
        dump_array(to, file, value);
        break;
    }
}

static void assert_dump(const struct pickle_file *file, size_t index, const char *expected) {
    struct buffer text = {0};
    dump(&text, file, pickle_file_value(file, index));
    assert_string_equal(buffer_text(&text), expected);
    buffer_free(&text);
}

static void data_path(char path[1024], const char *name) {
    const char *folder = getenv("FILTAGS_TEST_DATA");
    snprintf(path, 1024, "%s/unit/data/pickles/%s", folder ? folder : "tests", name);
}

/* ---- pickles written by Python ---- */

static void check_golden(json_t *expected, const char *name) {
    char path[1024];
    struct pickle_file *file = NULL;
    data_path(path, name);
    if (pickle_file_open(path, 0, &file)) fail_msg("%s", filtags_error_message());
    assert_int_equal(pickle_file_n_values(file), json_array_size(expected));
    for (size_t i = 0; i < json_array_size(expected); i++)
        assert_dump(file, i, json_string_value(json_array_get(expected, i)));
    pickle_file_close(file);
}

static void test_goldens(void **state) {
    char path[1024], name[64];
    json_error_t error;
    (void)state;
    data_path(path, "expected.json");
    json_t *expected = json_load_file(path, 0, &error);
    assert_non_null(expected);
    for (int numpy = 1; numpy <= 2; numpy++) {
        for (int protocol = 0; protocol <= 5; protocol++) {
            snprintf(name, sizeof name, "numpy%d-protocol%d.pkl", numpy, protocol);
            check_golden(expected, name);
        }
    }
    json_decref(expected);
}

/* Cut at any byte, a file is refused, but between two pickles, where what is left is a whole file. */
static void check_truncated(const char *name) {
    char path[1024];
    struct buffer contents = {0};
    size_t n_accepted = 0, n_values;
    struct pickle_file *file = NULL;
    data_path(path, name);
    assert_int_equal(file_read(path, 1 << 20, &contents), FILTAGS_OK);
    assert_int_equal(pickle_memory_open(contents.data, contents.size_bytes, name, 0, &file), FILTAGS_OK);
    n_values = pickle_file_n_values(file);
    pickle_file_close(file);
    size_t n_dense = 9000; /* the rest is numbers in long rows */
    for (size_t n = 0; n < contents.size_bytes; n += n < n_dense ? 1 : 211) {
        char *part = malloc(n ? n : 1); /* of just this size, for the address sanitizer */
        memcpy(part, contents.data, n);
        file = NULL;
        filtags_status status = pickle_memory_open(part, n, name, 0, &file);
        if (status == FILTAGS_OK) {
            n_accepted++;
            assert_true(pickle_file_n_values(file) < n_values);
            pickle_file_close(file);
        } else {
            assert_int_equal(status, FILTAGS_ERROR_FORMAT);
            assert_null(file);
            assert_non_null(strstr(filtags_error_message(), name));
        }
        free(part);
    }
    assert_in_range(n_accepted, 5, n_values);
    buffer_free(&contents);
}

static void test_truncated(void **state) {
    (void)state;
    check_truncated("numpy1-protocol0.pkl");
    check_truncated("numpy2-protocol2.pkl");
    check_truncated("numpy2-protocol5.pkl");
}

/* ---- what is written is read ---- */

struct folder {
    char path[256];
    char file[300];
};

static int make_folder(void **state) {
    struct folder *folder = calloc(1, sizeof *folder);
    const char *temporary = getenv("TMPDIR");
    snprintf(folder->path, sizeof folder->path, "%s/filtags-pickle-XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(folder->path)) return -1;
    snprintf(folder->file, sizeof folder->file, "%s/a.pkl", folder->path);
    *state = folder;
    return 0;
}

static int remove_folder(void **state) {
    struct folder *folder = *state;
    unlink(folder->file);
    rmdir(folder->path);
    free(folder);
    return 0;
}

static void write_everything(FILE *stream) {
    static const double numbers[] = {
        0, 255, 256, 65536, 2147483648.0, -1, 9007199254740991.0, 9007199254740992.0, 0.5, -0.0, INFINITY};
    static const int64_t ints[] = {
        255, 256, 65535, 65536, INT32_MAX, INT32_MIN, INT64_C(1) << 31, -(INT64_C(1) << 31) - 1, INT64_MAX, INT64_MIN};
    struct pickle_writer writer;
    float values[300];
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    pickle_none(&writer);
    for (size_t i = 0; i < sizeof ints / sizeof *ints; i++) pickle_int(&writer, ints[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) pickle_number(&writer, numbers[i]);
    pickle_float(&writer, 3);
    pickle_list_close(&writer);
    pickle_end(&writer);

    pickle_begin(&writer, stream);
    pickle_dict_open(&writer);
    pickle_str(&writer, "caf\xe9 \xc3\xa9 \xff\xed\xb3\x83");
    pickle_tuple_open(&writer);
    pickle_tuple_close(&writer);
    pickle_int(&writer, 5);
    pickle_list_open(&writer);
    pickle_list_close(&writer);
    pickle_str(&writer, "");
    pickle_dict_open(&writer);
    pickle_dict_close(&writer);
    pickle_dict_close(&writer);
    pickle_end(&writer);

    uint32_t memos[300];
    memset(memos, 0xff, sizeof memos);
    pickle_begin(&writer, stream);
    pickle_tuple_open(&writer);
    for (int i = 0; i < 600; i++) {
        char text[16];
        snprintf(text, sizeof text, "n%d", i % 300);
        pickle_str_shared(&writer, text, &memos[i % 300]);
        if (i == 100 || i == 450) pickle_array_float32(&writer, (const float[]){1, -0.1f}, 2);
    }
    pickle_tuple_close(&writer);
    pickle_end(&writer);

    for (size_t i = 0; i < 300; i++) values[i] = (float)i * -1.7f;
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    pickle_array_float32(&writer, values, 300);
    pickle_array_float32(&writer, NULL, 0);
    pickle_array_float32(&writer, values + 1, 1);
    pickle_list_close(&writer);
    pickle_end(&writer);
}

static void test_round_trip(void **state) {
    const struct folder *folder = *state;
    struct pickle_file *file = NULL;
    FILE *stream = fopen(folder->file, "wb");
    assert_non_null(stream);
    write_everything(stream);
    assert_int_equal(fclose(stream), 0);
    if (pickle_file_open(folder->file, 0, &file)) fail_msg("%s", filtags_error_message());
    assert_int_equal(pickle_file_n_values(file), 4);
    assert_dump(file, 0,
                "[None, i255, i256, i65535, i65536, i2147483647, i-2147483648, i2147483648, i-2147483649, "
                "i9223372036854775807, "
                "i-9223372036854775808, i0, i255, i256, i65536, i2147483648, i-1, i9007199254740991, 9007199254740992, "
                "0.5, i0, inf, 3]");
    assert_dump(file, 1, "{'caf\\xe9 \\xc3\\xa9 \\xff\\xed\\xb3\\x83': (), i5: [], '': {}}");
    pickle_value shared = pickle_file_value(file, 2);
    assert_int_equal(pickle_length(file, shared), 602);
    for (size_t i = 0; i < 602; i++) {
        char text[16];
        pickle_value item = pickle_item(file, shared, i);
        if (i == 101 || i == 452) {
            assert_int_equal(pickle_length(file, item), 2);
            assert_true(pickle_array(file, item)[1] == (double)-0.1f);
            continue;
        }
        snprintf(text, sizeof text, "n%zu", (i - (i > 101) - (i > 452)) % 300);
        assert_string_equal(pickle_as_str(file, item, NULL), text);
        assert_true(pickle_str_id(file, item) < pickle_n_strs(file));
    }
    assert_int_equal(pickle_str_id(file, pickle_item(file, shared, 5)),
                     pickle_str_id(file, pickle_item(file, shared, 306)));
    assert_int_not_equal(pickle_str_id(file, pickle_item(file, shared, 5)),
                         pickle_str_id(file, pickle_item(file, shared, 6)));
    pickle_value arrays = pickle_file_value(file, 3);
    const double *values = pickle_array(file, pickle_item(file, arrays, 0));
    for (size_t i = 0; i < 300; i++) assert_true(values[i] == (double)((float)i * -1.7f));
    assert_int_equal(pickle_length(file, pickle_item(file, arrays, 1)), 0);
    assert_true(pickle_array(file, pickle_item(file, arrays, 2))[0] == (double)-1.7f);
    pickle_file_close(file);
}

/* The writer encodes names itself: it must agree with base/text. */
static void test_str_encoding(void **state) {
    char *bytes = NULL;
    size_t n_bytes = 0;
    char text[256];
    (void)state;
    for (int i = 0; i < 255; i++) text[i] = (char)(i + 1);
    text[255] = '\0';
    FILE *stream = open_memstream(&bytes, &n_bytes);
    struct pickle_writer writer;
    pickle_begin(&writer, stream);
    pickle_str(&writer, text);
    pickle_end(&writer);
    fclose(stream);
    struct buffer expected = {0};
    text_append_fsdecoded(&expected, text, 255);
    assert_int_equal(n_bytes, 2 + 5 + expected.size_bytes + 1);
    assert_memory_equal(bytes + 7, expected.data, expected.size_bytes);
    struct pickle_file *file;
    assert_int_equal(pickle_memory_open(bytes, n_bytes, "x", 0, &file), FILTAGS_OK);
    assert_string_equal(pickle_as_str(file, pickle_file_value(file, 0), NULL), text);
    pickle_file_close(file);
    buffer_free(&expected);
    free(bytes);
}

static void test_write_error(void **state) {
    (void)state;
    FILE *stream = fopen("/dev/full", "wb");
    if (!stream) skip();
    write_everything(stream);
    assert_true(fflush(stream) != 0 || ferror(stream));
    fclose(stream);
}

/* A list longer than the buffer, of values of several sizes, so that operands lie across the buffer's end. */
static void test_large_file(void **state) {
    const struct folder *folder = *state;
    enum { N = 200000 };
    uint32_t memo = UINT32_MAX;
    struct pickle_writer writer;
    struct pickle_file *file = NULL;
    float *values = malloc(N * sizeof *values);
    for (size_t i = 0; i < N; i++) values[i] = (float)i / 3;
    FILE *stream = fopen(folder->file, "wb");
    pickle_begin(&writer, stream);
    pickle_list_open(&writer);
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) pickle_str_shared(&writer, "n01440764", &memo);
        else if (i % 3 == 1) pickle_int(&writer, i);
        else pickle_float(&writer, i / 7.0);
    }
    pickle_array_float32(&writer, values, N);
    pickle_list_close(&writer);
    pickle_end(&writer);
    assert_int_equal(fclose(stream), 0);
    if (pickle_file_open(folder->file, 0, &file)) fail_msg("%s", filtags_error_message());
    pickle_value list = pickle_file_value(file, 0);
    assert_int_equal(pickle_length(file, list), N + 1);
    for (int i = 0; i < N; i++) {
        pickle_value item = pickle_item(file, list, (size_t)i);
        if (i % 3 == 0) assert_string_equal(pickle_as_str(file, item, NULL), "n01440764");
        else assert_true(pickle_as_number(file, item) == (i % 3 == 1 ? i : i / 7.0));
    }
    const double *array = pickle_array(file, pickle_item(file, list, N));
    for (size_t i = 0; i < N; i++) assert_true(array[i] == (double)values[i]);
    pickle_file_close(file);
    free(values);
    /* a limit below what the file needs, and one above */
    file = NULL;
    assert_int_equal(pickle_file_open(folder->file, 1000000, &file), FILTAGS_ERROR_MEMORY);
    assert_non_null(strstr(filtags_error_message(), "1000000 bytes"));
    assert_null(file);
    assert_int_equal(pickle_file_open(folder->file, 20000000, &file), FILTAGS_OK);
    pickle_file_close(file);
}

static void test_file_errors(void **state) {
    const struct folder *folder = *state;
    struct pickle_file *file = NULL;
    assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_IO);
    assert_non_null(strstr(filtags_error_message(), "a.pkl: cannot be opened: "));
    assert_int_equal(pickle_file_open(folder->path, 0, &file), FILTAGS_ERROR_IO);
    assert_non_null(strstr(filtags_error_message(), "found a folder"));
    if (mkfifo(folder->file, 0600) == 0) {
        assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_IO);
        assert_non_null(strstr(filtags_error_message(), "found a special file"));
        unlink(folder->file);
    }
    FILE *stream = fopen(folder->file, "wb");
    fclose(stream);
    assert_int_equal(pickle_file_open(folder->file, 0, &file), FILTAGS_ERROR_FORMAT);
    assert_non_null(strstr(filtags_error_message(), "a.pkl: a pickle expected, the file is empty"));
    assert_null(file);
    pickle_file_close(NULL);
}

/* ---- what is refused, and what is not ---- */

struct example {
    const char *bytes;
    size_t n;
    filtags_status status;
    const char *text; /* part of the message, or the dump */
};
#define EXAMPLE(bytes, status, text) {bytes, sizeof(bytes) - 1, status, text}
#define FORMAT FILTAGS_ERROR_FORMAT
#define UNSUPPORTED FILTAGS_ERROR_UNSUPPORTED
#define ENCODE "c_codecs\nencode\n"
#define NDARRAY "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85" "C\1b\x87R"
#define DTYPE(code, order)                                                                                             \
    "cnumpy\ndtype\nU\2" code "\x89\x88\x87R(K\3U\1" order "NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
#define FROMBUFFER "cnumpy.core.numeric\n_frombuffer\n"

static const struct example examples[] = {
    /* code, in every way that pickles have to name it */
    EXAMPLE("cos\nsystem\n(S'echo hi'\ntR.", UNSUPPORTED, "x: byte 0: the object 'os.system' is no plain data"),
    EXAMPLE("\x80\4]\x94\x8c\5posix\x94\x8c\6system\x94\x93\x94.", UNSUPPORTED, "byte 21: the object 'posix.system'"),
    EXAMPLE("cbuiltins\neval\n.", UNSUPPORTED, "'builtins.eval'"),
    EXAMPLE("c__builtin__\ngetattr\n.", UNSUPPORTED, "'__builtin__.getattr'"),
    EXAMPLE("c\n\n.", UNSUPPORTED, "'.'"),
    EXAMPLE("cnumpy\nndarray.__class__\n.", UNSUPPORTED, "'numpy.ndarray.__class__'"),
    EXAMPLE("cos\x1b[2J\nsystem\n.", UNSUPPORTED, "'os?[2J.system'"),
    EXAMPLE("(S'echo hi'\nios\nsystem\n.", UNSUPPORTED, "byte 12: an instance of 'os.system'"),
    EXAMPLE("(c__builtin__\nlist\no.", UNSUPPORTED, "opcode OBJ"),
    EXAMPLE("Nabc\nP1\n.", FORMAT, "APPEND"),
    EXAMPLE("NQ.", UNSUPPORTED, "BINPERSID"),
    EXAMPLE("N\x82\1.", UNSUPPORTED, "EXT1"),
    EXAMPLE("\x80\5\x97.", UNSUPPORTED, "NEXT_BUFFER"),
    EXAMPLE("\x80\5N\x98.", UNSUPPORTED, "READONLY_BUFFER"),
    EXAMPLE("\x80\6N.", UNSUPPORTED, "protocol 6"),
    EXAMPLE("\x80\4c__builtin__\nlist\n)}\x92.", UNSUPPORTED, "NEWOBJ_EX"),
    EXAMPLE("\x80\2c__builtin__\nset\n]\x85\x81.", UNSUPPORTED, "NEWOBJ with arguments"),
    EXAMPLE("\x80\2c__builtin__\nset\n)\x81.", FILTAGS_OK, "{}"),
    /* functions as values, calls that make no sense */
    EXAMPLE("c__builtin__\nlist\n.", UNSUPPORTED, "holds class or function"),
    EXAMPLE("(]c__builtin__\nlist\nat.", UNSUPPORTED, "holds class or function"),
    EXAMPLE("}K\1" DTYPE("f4", "<") "s.", UNSUPPORTED, "holds NumPy dtype"),
    EXAMPLE("cnumpy\nndarray\n)R.", UNSUPPORTED, "a call of ndarray"),
    EXAMPLE("c__builtin__\nlist\n(K\1K\1K\1K\1K\1K\1K\1tR.", UNSUPPORTED, "a call of list"),
    EXAMPLE("K\1)R.", FORMAT, "a function and a tuple of arguments expected, found a int and a tuple"),
    EXAMPLE("c__builtin__\nlist\nK\1R.", FORMAT, "a class or function and a int"),
    EXAMPLE("c__builtin__\nlist\nK\1\x85R.", FORMAT, "list(list) expected, found (int)"),
    EXAMPLE("c__builtin__\ntuple\n]\x85R.", UNSUPPORTED, "a tuple made from a list"),
    EXAMPLE("c__builtin__\ntuple\n)\x85R.", FILTAGS_OK, "()"),
    EXAMPLE("c__builtin__\ntuple\n)R.", FILTAGS_OK, "()"),
    EXAMPLE("c__builtin__\nlist\n(K\1]t\x85R.", FILTAGS_OK, "[i1, []]"),
    EXAMPLE("c__builtin__\ndict\n](K\1K\2ta\x85R.", FILTAGS_OK, "{i1: i2}"),
    EXAMPLE("c__builtin__\ndict\n](K\1ta\x85R.", FORMAT, "a dict made of pairs expected, item 0 is a tuple"),
    EXAMPLE("c__builtin__\ndict\nK\1\x85R.", FORMAT, "dict(list) expected, found (int)"),
    EXAMPLE("ccollections\ndefaultdict\nK\1\x85R.", FORMAT, "defaultdict(class) expected"),
    EXAMPLE("c__builtin__\nbytes\nK\1\x85R.", FORMAT, "bytes(bytes) expected, found (int)"),
    EXAMPLE("c__builtin__\nbytearray\nX\1\0\0\0aX\7\0\0\0latin-1\x86R.", FILTAGS_OK, "b'a'"),
    EXAMPLE(ENCODE "X\1\0\0\0aX\4\0\0\0utf8\x86R.", FORMAT, "encode(str, 'latin1') expected, found (str, str)"),
    EXAMPLE(ENCODE "X\3\0\0\0\xe2\x82\xacX\6\0\0\0latin1\x86R.", FORMAT, "outside latin1"),
    EXAMPLE("]Nb.", UNSUPPORTED, "state for a list"),
    EXAMPLE("Nb.", FORMAT, "BUILD needs 1 values"),
    /* NumPy */
    EXAMPLE(NDARRAY "(K\1K\2\x85" DTYPE("f4", "<") "\x89"
                                                   "C\7abcdefgtb.",
            FORMAT, "2 elements of 4 bytes expected, found 7 bytes"),
    EXAMPLE(NDARRAY "(K\1(J\xff\xff\xff\x7fJ\xff\xff\xff\x7fJ\xff\xff\xff\x7ft" DTYPE("f4", "<") "\x89"
                                                                                                 "C\0tb.",
            FORMAT, "more than 2^64"),
    EXAMPLE(NDARRAY "(K\1(\x8a\5\0\0\0\0\x40\x8a\5\0\0\0\0\x20t" DTYPE("f8", "<") "\x89"
                                                                                  "C\0tb.",
            FORMAT, "more than 2^64"),
    EXAMPLE(NDARRAY "(K\1(\x8a\4\0\0\0\x40\x8a\4\0\0\0\x60t" DTYPE("f8", "<") "\x89"
                                                                              "C\0tb.",
            FORMAT, "elements of 8 bytes expected"),
    EXAMPLE(NDARRAY "(K\1J\xff\xff\xff\xff\x85" DTYPE("f4", "<") "\x89"
                                                                 "C\0tb.",
            FORMAT, "size 0 is a negative"),
    EXAMPLE(NDARRAY "(K\1K\2" DTYPE("f4", "<") "\x89"
                                               "C\0tb.",
            FORMAT, "the shape of a NumPy array expected, found a int"),
    EXAMPLE(NDARRAY "(K\1)N\x89"
                    "C\0tb.",
            FORMAT, "dtype and bytes expected, found a None and a bytes"),
    EXAMPLE(NDARRAY "(K\1tb.", FORMAT, "a tuple of 5"),
    EXAMPLE(NDARRAY "(K\1K\2\x85" DTYPE("i1", "|") "\x89X\3\0\0\0a\xc2\x80tb.", FILTAGS_OK,
            "array<2>[97 -128]"), /* as Python 2's */
    EXAMPLE(NDARRAY ".", FILTAGS_OK, "array<0>[]"),
    EXAMPLE("cnumpy.core.multiarray\n_reconstruct\nc__builtin__\nlist\nK\0\x85"
            "C\1b\x87R.",
            FORMAT, "_reconstruct(numpy.ndarray"),
    EXAMPLE("cnumpy\ndtype\nU\2O8\x89\x88\x87R.", UNSUPPORTED, "NumPy data of type 'O8'"),
    EXAMPLE("cnumpy\ndtype\nU\2U3\x89\x88\x87R.", UNSUPPORTED, "type 'U3'"),
    EXAMPLE("cnumpy\ndtype\nU\2f3\x89\x88\x87R.", UNSUPPORTED, "type 'f3'"),
    EXAMPLE("cnumpy\ndtype\nU\3f16\x89\x88\x87R.", UNSUPPORTED, "type 'f16'"),
    EXAMPLE("cnumpy\ndtype\nU\2c8\x89\x88\x87R.", UNSUPPORTED, "type 'c8'"),
    EXAMPLE("cnumpy\ndtype\nU\0\x89\x88\x87R.", UNSUPPORTED, "type ''"),
    EXAMPLE("cnumpy\ndtype\n)R.", FORMAT, "dtype(str, bool, bool)"),
    EXAMPLE("cnumpy\ndtype\nU\2f4\x89\x88\x87R(K\3U\1<NU\1aNttb.", FORMAT, "TUPLE without a MARK"),
    EXAMPLE("cnumpy\ndtype\nU\2f4\x89\x88\x87R(K\3U\1<NU\1aNtb.", UNSUPPORTED, "fields or subarrays"),
    EXAMPLE("cnumpy\ndtype\nU\2f4\x89\x88\x87RNb.", FORMAT, "the state of a NumPy dtype"),
    EXAMPLE("cnumpy.core.multiarray\nscalar\n" DTYPE("f4", "<") "C\3abc\x86R.", FORMAT,
            "a NumPy number of 4 bytes expected, found 3"),
    EXAMPLE("cnumpy.core.multiarray\nscalar\n)R.", FORMAT, "scalar(dtype, bytes)"),
    EXAMPLE(FROMBUFFER "(C\4\1\2\3\4" DTYPE("u1", "|") "K\2K\2\x86U\1KK\1K\0\x86tR.", FILTAGS_OK,
            "array<2x2>[1 3 2 4]"),
    EXAMPLE(FROMBUFFER "(C\4\1\2\3\4" DTYPE("u1", "|") "K\2K\2\x86U\1KK\1K\1\x86tR.", FORMAT,
            "the order of a NumPy array's axes"),
    EXAMPLE(FROMBUFFER "(C\4\1\2\3\4" DTYPE("u1", "|") "K\2K\2\x86U\1AtR.", UNSUPPORTED, "neither C nor Fortran"),
    EXAMPLE(FROMBUFFER "(K\1NNNtR.", FORMAT,
            "_frombuffer(bytes, dtype, shape, order) expected, found (int, None, None, None)"),
    /* stack, marks, memo */
    EXAMPLE("]q\0h\0a.", UNSUPPORTED, "a list that contains itself"),
    EXAMPLE("](h\0t.", FORMAT, "memo place 0 is read before it is set"),
    EXAMPLE("]q\1(h\1ta.", UNSUPPORTED, "contains itself"),
    EXAMPLE("}q\1K\1h\1s.", UNSUPPORTED, "a dict that contains itself"),
    EXAMPLE("Nh\1.", FORMAT, "byte 1: memo place 1"),
    EXAMPLE("Nr\xff\xff\xff\xff.", FORMAT, "memo place 4294967295 is out of proportion"),
    EXAMPLE("Np99999999999999999999\n.", FORMAT, "out of proportion"),
    EXAMPLE("Np-1\n.", FORMAT, "a memo place expected, found '-1'"),
    EXAMPLE("Ngx\n.", FORMAT, "a memo place expected, found 'x'"),
    EXAMPLE("(q\0.", FORMAT, "BINPUT needs 1 values"),
    EXAMPLE("NNt.", FORMAT, "TUPLE without a MARK"),
    EXAMPLE("Ne.", FORMAT, "APPENDS without a MARK"),
    EXAMPLE("N1.", FORMAT, "POP_MARK without a MARK"),
    EXAMPLE("](NNa.", FORMAT, "APPEND to a None"),
    EXAMPLE("](Na.", FORMAT, "APPEND needs 1 values on the stack, found 0"),
    EXAMPLE("](N\x86.", FORMAT, "TUPLE2 needs 2 values on the stack, found 1"),
    EXAMPLE("]K\1K\2s.", FORMAT, "SETITEM to a list"),
    EXAMPLE("}(K\1u.", FORMAT, "SETITEMS with a key that has no value"),
    EXAMPLE("}]K\1s.", FORMAT, "a list as a key of a dict"),
    EXAMPLE("(]K\1d.", FORMAT, "a list as a key"),
    EXAMPLE("0.", FORMAT, "no pickle"),
    EXAMPLE("N0.", FORMAT, "one value expected at the end of a pickle, found 0 and 0 marks"),
    EXAMPLE("NN.", FORMAT, "found 2 and 0 marks"),
    EXAMPLE("(N.", FORMAT, "found 1 and 1 marks"),
    EXAMPLE("N(NN1.", FILTAGS_OK, "None"),
    EXAMPLE("N(0.", FILTAGS_OK, "None"),
    EXAMPLE("](K\1K\2e2\x86.", FILTAGS_OK, "([i1, i2], [i1, i2])"),
    EXAMPLE("](e.", FILTAGS_OK, "[]"),
    /* operands */
    EXAMPLE("I12x\n.", FORMAT, "byte 0: an integer expected, found '12x'"),
    EXAMPLE("I\n.", FORMAT, "an integer expected, found ''"),
    EXAMPLE("L-\n.", FORMAT, "an integer expected, found '-'"),
    EXAMPLE("L9999999999999999999999x\n.", FORMAT, "an integer expected"),
    EXAMPLE("L-99999999999999999999999L\n.", FILTAGS_OK, "i-9223372036854775808"),
    EXAMPLE("(I01\nI00\nI1\nl.", FILTAGS_OK, "[True, False, i1]"),
    EXAMPLE("F1.5x\n.", FORMAT, "a float expected, found '1.5x'"),
    EXAMPLE("F0x10\n.", FORMAT, "a float expected"),
    EXAMPLE("F\n.", FORMAT, "a float expected"),
    EXAMPLE("F-1.5e3\n.", FILTAGS_OK, "-1500"),
    EXAMPLE("K", FORMAT, "the operand of BININT1 is missing"),
    EXAMPLE("\x80\2\x8b\xff\xff\xff\xff.", FORMAT, "a negative number of bytes"),
    EXAMPLE("\x80\2\x8a\0.", FILTAGS_OK, "i0"),
    EXAMPLE("T\xff\xff\xff\xff.", FORMAT, "a negative number of bytes"),
    EXAMPLE("X\xff\xff\xff\xff"
            "abc.",
            FORMAT, "BINUNICODE of 4294967295 bytes expected, 4 are left"),
    EXAMPLE("\x80\4\x8e\xff\xff\xff\xff\xff\xff\xff\xff.", FORMAT,
            "BINBYTES8 of 18446744073709551615 bytes expected, 1 are left"),
    EXAMPLE("\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.", FORMAT, "BINUNICODE8 of"),
    EXAMPLE("\x80\5\x96\xff\xff\xff\xff\xff\xff\xff\x7f.", FORMAT, "BYTEARRAY8 of"),
    EXAMPLE("\x80\4\x95\xff\0\0\0\0\0\0\0N.", FORMAT, "FRAME of 255 bytes expected, 2 are left"),
    EXAMPLE("X\2\0\0\0\xc3(.", FORMAT, "not valid UTF-8"),
    EXAMPLE("X\3\0\0\0\xed\xa0\x80.", FILTAGS_OK,
            "'\\xed\\xa0\\x80'"), /* a surrogate that is no byte of a name stays */
    EXAMPLE("S'a\\x41\\n\\101\\\\\\''\n.", FILTAGS_OK, "'aA\\x0aA\\x5c\\x27'"),
    EXAMPLE("S\"\\xff\"\n.", FILTAGS_OK, "b'\\xff'"),
    EXAMPLE("S'a\n.", FORMAT, "a string in quotes expected, found ''a'"),
    EXAMPLE("S'\\x4'\n.", FORMAT, "a string in quotes"),
    EXAMPLE("S'\\q'\n.", FORMAT, "a string in quotes"),
    EXAMPLE("S'\\'\n.", FORMAT, "a string in quotes"),
    EXAMPLE("U\2a\xff.", FILTAGS_OK, "b'a\\xff'"),
    EXAMPLE("Va\\u00e9\\U0001F600\xe9\n.", FILTAGS_OK, "'a\\xc3\\xa9\\xf0\\x9f\\x98\\x80\\xc3\\xa9'"),
    EXAMPLE("V\\u12\n.", FORMAT, "a text with \\u escapes"),
    EXAMPLE("V\\U00110000\n.", FORMAT, "a text with \\u escapes"),
    EXAMPLE("Vno end", FORMAT, "the line of UNICODE has no end"),
    EXAMPLE("\x80\4K\1K\2\x93.", FORMAT, "two str expected as the name of a class, found a int and a int"),
    /* what comes after, and what is something else */
    EXAMPLE("N.\n", FORMAT, "byte 2: an opcode of a pickle expected, found byte 0x0a"),
    EXAMPLE("N.N", FORMAT, "the pickle that begins at byte 2 has no end"),
    EXAMPLE("PK\3\4", FORMAT, "x: this is no pickle: it begins with byte 0x50"),
    EXAMPLE("\x89HDF\r\n", FORMAT, "this is no pickle"),
    EXAMPLE("\0", FORMAT, "begins with byte 0x00"),
    EXAMPLE("", FORMAT, "the file is empty"),
};

static void test_examples(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        struct pickle_file *file = NULL;
        char *copy = malloc(examples[i].n ? examples[i].n : 1); /* of just this size, for the address sanitizer */
        memcpy(copy, examples[i].bytes, examples[i].n);
        filtags_status status = pickle_memory_open(copy, examples[i].n, "x", 0, &file);
        free(copy);
        if (status != examples[i].status || (status && !strstr(filtags_error_message(), examples[i].text))) {
            fail_msg("example %zu (%s): status %d, message '%s'", i, examples[i].text, status, filtags_error_message());
        }
        if (!status) assert_dump(file, 0, examples[i].text);
        pickle_file_close(file);
    }
}

/* ---- values handed over one by one ---- */

static void dump_pair(struct buffer *to, const struct pickle_file *file, size_t index, pickle_value key,
                      pickle_value item) {
    buffer_printf(to, "%zu: ", index);
    dump(to, file, key);
    buffer_append_text(to, ": ");
    dump(to, file, item);
    buffer_append_text(to, "\n");
}

static filtags_status take_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                pickle_value item) {
    dump_pair(context, file, index, key, item);
    return FILTAGS_OK;
}

static filtags_status take_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    if (pickle_kind_of(file, value) != PICKLE_DICT) dump(context, file, value);
    buffer_printf(context, " is %zu\n", index);
    return FILTAGS_OK;
}

/* The same from a file that is read as a whole. */
static void dump_all(struct buffer *to, const struct pickle_file *file) {
    for (size_t index = 0; index < pickle_file_n_values(file); index++) {
        pickle_value value = pickle_file_value(file, index), key, item;
        bool is_dict = pickle_kind_of(file, value) == PICKLE_DICT;
        for (size_t i = 0; is_dict && i < pickle_length(file, value); i++) {
            pickle_pair(file, value, i, &key, &item);
            dump_pair(to, file, index, key, item);
        }
        assert_int_equal(take_value(to, file, index, value), FILTAGS_OK);
    }
}

static void check_visit(const char *name, const void *bytes, size_t n_bytes) {
    struct buffer whole = {0}, visited = {0};
    struct pickle_file *file = NULL;
    const struct pickle_visitor visitor = {&visited, take_pair, take_value};
    char *copy = malloc(n_bytes ? n_bytes : 1); /* of just this size, for the address sanitizer */
    memcpy(copy, bytes, n_bytes);
    filtags_status status = pickle_memory_open(copy, n_bytes, name, 0, &file);
    filtags_status visit_status = pickle_memory_visit(copy, n_bytes, name, 0, &visitor);
    if (visit_status != status) fail_msg("%s: status %d, visited %d: %s", name, status, visit_status,
                                         filtags_error_message());
    if (!status) {
        dump_all(&whole, file);
        assert_string_equal(buffer_text(&visited), buffer_text(&whole));
    }
    pickle_file_close(file);
    buffer_free(&whole);
    buffer_free(&visited);
    free(copy);
}

/* dicts whose pairs refer to each other, or look complete before they are */
static const struct {
    const char *bytes;
    size_t n;
} visits[] = {
#define VISIT(bytes) {bytes, sizeof bytes - 1}
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2]q\2(K\x9" "eu."),       /* {1: [7, 8], 2: [9]} */
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2h\1u."),                  /* {1: a, 2: a} */
    VISIT("\x80\2}q\0(K\1]q\1(K\7K\x8" "eK\2]q\2h\1au."),            /* {1: a, 2: [a]} */
    VISIT("\x80\2}q\0(K\1]q\1K\7aK\2]q\2K\x8" "au."),                 /* {1: [7], 2: [8]} */
    VISIT("\x80\2}q\0(K\1]q\1]q\2K\7aaK\2]q\2K\x8" "au."),           /* {1: [[7]], 2: [8]} */
    VISIT("\x80\2}q\0K\1]q\1(K\7K\x8" "es."),                        /* {1: [7, 8]} */
    VISIT("\x80\2}q\0K\1]q\1(K\7K\x8" "esK\2h\1s."),                  /* {1: a, 2: a} */
    VISIT("\x80\2}q\0(G\0\0\0\0\0\0\0\0]q\1G?\xf0\0\0\0\0\0\0]q\2u."), /* {0.0: [], 1.0: []} */
    VISIT("(dp0\nI1\n(lp1\nI7\nasI2\n(lp2\nsI3\ng1\ns."),              /* {1: a, 2: [], 3: a} */
    VISIT("(I1\n(lp1\nI2\ng1\nd."),                                   /* {1: a, 2: a} */
    VISIT("}q\0(K\1]K\2]K\3h\0u."),                                   /* a dict that contains itself */
    VISIT("}q\0(K\1]K\2h\0u."),
    VISIT("}q\0h\0(K\1]K\2]u0."),
    VISIT("}(K\1]K\2]u(K\3]K\4]u."),
    VISIT("}(K\1]K\2]0]u."),                 /* the second list is popped, and made again */
    VISIT("}(K\1]K\2000]K\3]u."),           /* the first list is popped behind its next key: no pairs */
    VISIT("}(K\1]K\2]11."),
    VISIT("}(K\1]K\2]t."),
    VISIT("}(K\1]K\2\x86K\3u."),            /* {1: ([], 2), ...: no value for 3 */
    VISIT("}(K\1]K\2]u.}(K\1]K\2]u.N."),
    VISIT("}(K\1](]q\1]eK\2](]]eu."),                                   /* {1: [[], []], 2: [[], []]} */
    VISIT("}(K\1](]q\1]eK\2](h\1]eu."),                               /* {1: [a, []], 2: [a, []]} */
    VISIT("}(K\1](]q\1]eK\2](]h\1]eK\3](]]eu}u."),
    VISIT("}(K\1](]]eK\2000]u."),
    VISIT("}(K\1](]]eK\20]K\3](]eu."),
    VISIT("}(K\1](]]eK\2]d."),
    VISIT("}(K\1](]]eK\21N."),
    VISIT("}(K\1](]]e(tK\2(]eu."),
    VISIT("}q\0(K\1](]]eK\2h\0u."),
    VISIT("}(K\1](]]eX\1\0\0\0aG\0\0\0\0\0\0\0\0u."),
    VISIT("}(K\1K\2K\3}K\4K\5su."),        /* {1: 2, 3: {4: 5}} */
    VISIT("]}(K\1]K\2]ua."),                /* the dict is no pickle of its own */
    VISIT("\x80\2}q\0(K\1]q\1K\2]q\2u(K\3h\1K\4h\2u."),
#undef VISIT
};

static void test_visits(void **state) {
    (void)state;
    char name[64], path[1024];
    for (size_t i = 0; i < sizeof visits / sizeof *visits; i++) {
        snprintf(name, sizeof name, "visit %zu", i);
        check_visit(name, visits[i].bytes, visits[i].n);
    }
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        snprintf(name, sizeof name, "example %zu", i);
        check_visit(name, examples[i].bytes, examples[i].n);
    }
    for (int numpy = 1; numpy <= 2; numpy++) {
        for (int protocol = 0; protocol <= 5; protocol++) {
            struct buffer contents = {0};
            snprintf(name, sizeof name, "numpy%d-protocol%d.pkl", numpy, protocol);
            data_path(path, name);
            assert_int_equal(file_read(path, 1 << 20, &contents), FILTAGS_OK);
            check_visit(name, contents.data, contents.size_bytes);
            buffer_free(&contents);
        }
    }
}

static filtags_status count_pairs(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                  pickle_value item) {
    (void)file, (void)index, (void)key, (void)item;
    ++*(size_t *)context;
    return FILTAGS_OK;
}

static filtags_status ignore_value(void *context, const struct pickle_file *file, size_t index, pickle_value value) {
    (void)context, (void)file, (void)index, (void)value;
    return FILTAGS_OK;
}

static filtags_status refuse_pair(void *context, const struct pickle_file *file, size_t index, pickle_value key,
                                  pickle_value item) {
    (void)file, (void)index, (void)key, (void)item;
    return ++*(size_t *)context == 3 ? FILTAGS_ERROR_DATA : FILTAGS_OK;
}

/* What nobody writes, and what can't be told from {1: [[]], 2: ...} in time. */
static void test_visit_of_growing_list(void **state) {
    static const struct {
        const char *text, *message;
    } growing[] = {{"}(K\1](]eK\2aK\3](]eu.", "a list that grows after the next key"},
                   {"}(K\1](]q\1eK\2](]eK\3h\1K\4au.", "a list that grows after the next key"},
                   {"}(K\1](]]eK\2\x86K\3](]eu.", "a list that grows after the next key"},
                   {"}(K\1]K\2]u\x85.", "a dict that goes into another value"},
                   {"}(K\1]K\2]u0N.", "a dict that goes into another value"}};
    (void)state;
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
        struct buffer text = {0};
        struct pickle_file *file = NULL;
        const struct pickle_visitor visitor = {&text, take_pair, take_value};
        assert_int_equal(pickle_memory_open(growing[i].text, strlen(growing[i].text), "x", 0, &file), FILTAGS_OK);
        assert_int_equal(pickle_memory_visit(growing[i].text, strlen(growing[i].text), "x", 0, &visitor),
                         FILTAGS_ERROR_UNSUPPORTED);
        assert_non_null(strstr(filtags_error_message(), growing[i].message));
        pickle_file_close(file);
        buffer_free(&text);
    }
}

/* A thousand lists of a thousand numbers in the memory for a few of them. */
static void test_visit_in_little_memory(void **state) {
    (void)state;
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    size_t n_pairs = 0;
    const struct pickle_visitor counting = {&n_pairs, count_pairs, ignore_value};
    const struct pickle_visitor refusing = {&n_pairs, refuse_pair, ignore_value};
    buffer_append_text(&text, "}(");
    for (int i = 0; i < 1000; i++) {
        buffer_append_text(&text, "K\1](](");
        for (int j = 0; j < 1000; j++) buffer_append_text(&text, "K\2");
        buffer_append_text(&text, "ee");
    }
    buffer_append_text(&text, "u.");
    assert_int_equal(pickle_memory_open(text.data, text.size_bytes, "x", 60000, &file), FILTAGS_ERROR_MEMORY);
    assert_int_equal(pickle_memory_visit(text.data, text.size_bytes, "x", 60000, &counting), FILTAGS_OK);
    assert_int_equal(n_pairs, 1000);
    n_pairs = 0;
    assert_int_equal(pickle_memory_visit(text.data, text.size_bytes, "x", 60000, &refusing), FILTAGS_ERROR_DATA);
    assert_int_equal(n_pairs, 3); /* once, not again */
    buffer_free(&text);
}

/* n lists, each in the next, in the order in which Python writes them or as an inner list put into an outer one. */
static filtags_status open_nested(size_t n) {
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    for (size_t i = 0; i < n; i++) buffer_append_text(&text, "]");
    for (size_t i = 0; i + 1 < n; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, ".");
    filtags_status status = pickle_memory_open(text.data, text.size_bytes, "x", 0, &file);
    buffer_free(&text);
    pickle_file_close(file);
    return status;
}

static void test_depth(void **state) {
    (void)state;
    assert_int_equal(open_nested(100), FILTAGS_OK);
    assert_int_equal(open_nested(101), FILTAGS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(filtags_error_message(), "nested more than 100 deep"));
    assert_int_equal(open_nested(1000000), FILTAGS_ERROR_UNSUPPORTED);
    struct pickle_file *file = NULL;
    char marks[100000];
    memset(marks, '(', sizeof marks);
    assert_int_equal(pickle_memory_open(marks, sizeof marks, "x", 0, &file), FILTAGS_ERROR_FORMAT);
}

/* A list checked once, then met again deeper down, must count from there. */
static void test_depth_of_shared(void **state) {
    (void)state;
    struct buffer text = {0};
    struct pickle_file *file = NULL;
    buffer_append_text(&text, "("); /* a tuple of: 60 lists, memo 1; the same in 60 further lists */
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "]");
    for (int i = 0; i < 59; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, "q\1");
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "]");
    buffer_append_text(&text, "h\1");
    for (int i = 0; i < 60; i++) buffer_append_text(&text, "a");
    buffer_append_text(&text, "t.");
    assert_int_equal(pickle_memory_open(text.data, text.size_bytes, "x", 0, &file), FILTAGS_ERROR_UNSUPPORTED);
    assert_non_null(strstr(filtags_error_message(), "nested more than 100 deep"));
    buffer_free(&text);
}

/* Ten lists of ten of ten ... of the same list: small as a file, without end for whoever walks through it. */
static void test_shared_without_end(void **state) {
    (void)state;
    for (int n = 5; n <= 40; n += 35) {
        struct buffer text = {0};
        struct pickle_file *file = NULL;
        buffer_append_text(&text, "]q\1");
        for (int i = 0; i < n; i++) buffer_append_text(&text, "]q\2(h\1h\1h\1h\1h\1h\1h\1h\1h\1h\1eq\1");
        for (int i = 0; i < n; i++) buffer_append_text(&text, "\x86");
        buffer_append_text(&text, ".");
        filtags_status status = pickle_memory_open(text.data, text.size_bytes, "x", 0, &file);
        assert_int_equal(status, n == 5 ? FILTAGS_OK : FILTAGS_ERROR_MEMORY);
        buffer_free(&text);
        pickle_file_close(file);
    }
}

static void test_memory_limit(void **state) {
    (void)state;
    struct pickle_file *file = NULL;
    char marks[100000];
    marks[0] = 'N';
    memset(marks + 1, '2', sizeof marks - 1);
    assert_int_equal(pickle_memory_open(marks, sizeof marks, "x", 10000, &file), FILTAGS_ERROR_MEMORY);
    assert_non_null(strstr(filtags_error_message(), "x: the contents need more than the limit of 10000 bytes"));
    assert_null(file);
}

static void test_kind_names(void **state) {
    (void)state;
    assert_string_equal(pickle_kind_name(PICKLE_NONE), "None");
    assert_string_equal(pickle_kind_name(PICKLE_ARRAY), "NumPy array");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goldens),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test_setup_teardown(test_round_trip, make_folder, remove_folder),
        cmocka_unit_test(test_str_encoding),
        cmocka_unit_test(test_write_error),
        cmocka_unit_test_setup_teardown(test_large_file, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(test_file_errors, make_folder, remove_folder),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_visits),
        cmocka_unit_test(test_visit_of_growing_list),
        cmocka_unit_test(test_visit_in_little_memory),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_depth_of_shared),
        cmocka_unit_test(test_shared_without_end),
        cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_kind_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
