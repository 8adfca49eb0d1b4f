/* The few classes and functions that a pickle may name, each done here by hand: nothing is looked up and called. */
#include <math.h>
#include <string.h>

#include "store/pickle_internal.h"

enum pickle_global {
    GLOBAL_RECONSTRUCT, GLOBAL_SCALAR, GLOBAL_NDARRAY, GLOBAL_DTYPE, GLOBAL_FROMBUFFER, GLOBAL_ENCODE,
    GLOBAL_LIST, GLOBAL_DICT, GLOBAL_TUPLE, GLOBAL_SET, GLOBAL_FROZENSET, GLOBAL_BYTES, GLOBAL_BYTEARRAY,
    GLOBAL_ORDERED_DICT, GLOBAL_DEFAULT_DICT
};

enum { MAX_DIMS = 64 }; /* NumPy 2's limit */

static const struct {
    const char *module, *name;
    enum pickle_global global;
} globals[] = {
    {"numpy.core.multiarray", "_reconstruct", GLOBAL_RECONSTRUCT},
    {"numpy._core.multiarray", "_reconstruct", GLOBAL_RECONSTRUCT}, /* NumPy 2 */
    {"numpy.core.multiarray", "scalar", GLOBAL_SCALAR},
    {"numpy._core.multiarray", "scalar", GLOBAL_SCALAR},
    {"numpy.core.numeric", "_frombuffer", GLOBAL_FROMBUFFER},
    {"numpy._core.numeric", "_frombuffer", GLOBAL_FROMBUFFER},
    {"numpy", "ndarray", GLOBAL_NDARRAY},
    {"numpy", "dtype", GLOBAL_DTYPE},
    {"_codecs", "encode", GLOBAL_ENCODE},
    {"builtins", "list", GLOBAL_LIST},
    {"__builtin__", "list", GLOBAL_LIST}, /* Python 2's name: protocols 0 to 2 */
    {"builtins", "dict", GLOBAL_DICT},
    {"__builtin__", "dict", GLOBAL_DICT},
    {"builtins", "tuple", GLOBAL_TUPLE},
    {"__builtin__", "tuple", GLOBAL_TUPLE},
    {"builtins", "set", GLOBAL_SET},
    {"__builtin__", "set", GLOBAL_SET},
    {"builtins", "frozenset", GLOBAL_FROZENSET},
    {"__builtin__", "frozenset", GLOBAL_FROZENSET},
    {"builtins", "bytes", GLOBAL_BYTES},
    {"__builtin__", "bytes", GLOBAL_BYTES},
    {"builtins", "bytearray", GLOBAL_BYTEARRAY},
    {"__builtin__", "bytearray", GLOBAL_BYTEARRAY},
    {"collections", "OrderedDict", GLOBAL_ORDERED_DICT},
    {"collections", "defaultdict", GLOBAL_DEFAULT_DICT},
};

filtags_status pickle_find_global(struct pickle_reader *reader, const char *module, const char *name, uint64_t *word) {
    for (size_t i = 0; i < sizeof globals / sizeof *globals; i++) {
        if (strcmp(module, globals[i].module) == 0 && strcmp(name, globals[i].name) == 0) {
            *word = word_make(TAG_GLOBAL, globals[i].global);
            return FILTAGS_OK;
        }
    }
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "the object '%.200s.%.200s' is no plain data, and is refused",
                       module, name);
}

uint64_t pickle_global_encode(void) { return word_make(TAG_GLOBAL, GLOBAL_ENCODE); }

/* ---- arguments of a call ---- */

struct arguments {
    const char *function;
    uint64_t items[6];
    size_t n;
};

static filtags_status fail_arguments(const struct pickle_reader *reader, const struct arguments *arguments,
                                     const char *expected) {
    char found[200] = "";
    for (size_t i = 0; i < arguments->n; i++) {
        size_t n = strlen(found);
        snprintf(found + n, sizeof found - n, "%s%s", i ? ", " : "", pickle_word_name(arguments->items[i]));
    }
    return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "%s(%s) expected, found (%s)", arguments->function, expected,
                       found);
}

static bool is_global(uint64_t word, enum pickle_global global) { return word == word_make(TAG_GLOBAL, global); }

static bool is_str(const struct pickle_reader *reader, uint64_t word, const char *text) {
    return word_tag(word) == TAG_STR && strcmp(pickle_as_str(reader->file, (pickle_value){word}, NULL), text) == 0;
}

static bool is_latin1(const struct pickle_reader *reader, uint64_t word) {
    return is_str(reader, word, "latin1") || is_str(reader, word, "latin-1");
}

static bool is_container(uint64_t word) {
    return word_tag(word) == TAG_LIST || word_tag(word) == TAG_TUPLE || word_tag(word) == TAG_SET;
}

/* ---- bytes ---- */

/* text.encode('latin1'). BYTES stay as they are: pickle_reader.c has then encoded a long text at once. */
static filtags_status encode_latin1(struct pickle_reader *reader, uint64_t text, uint64_t *result) {
    if (word_tag(text) == TAG_BYTES) {
        *result = text;
        return FILTAGS_OK;
    }
    size_t n_text, n = 0;
    const uint8_t *from = (const uint8_t *)pickle_as_str(reader->file, (pickle_value){text}, &n_text);
    for (size_t i = 0; i < n_text; i++) {
        bool is_pair = (from[i] == 0xc2 || from[i] == 0xc3) && i + 1 < n_text && (from[i + 1] & 0xc0) == 0x80;
        if (from[i] >= 0x80 && !is_pair) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a character outside latin1 in the text of bytes");
        }
        i += is_pair;
        n++;
    }
    uint8_t *to;
    filtags_status status = pickle_make_bytes(reader->file, n, result, &to);
    if (status) return status;
    from = (const uint8_t *)pickle_as_str(reader->file, (pickle_value){text}, &n_text);
    for (size_t i = 0; i < n_text; i++) {
        if (from[i] < 0x80) {
            *to++ = from[i];
        } else {
            *to++ = (uint8_t)(from[i] << 6 | (from[i + 1] & 0x3f));
            i++;
        }
    }
    return FILTAGS_OK;
}

static filtags_status call_encode(struct pickle_reader *reader, const struct arguments *arguments, uint64_t *result) {
    if (arguments->n != 2 || (word_tag(arguments->items[0]) != TAG_STR && word_tag(arguments->items[0]) != TAG_BYTES) ||
        !is_latin1(reader, arguments->items[1])) {
        return fail_arguments(reader, arguments, "str, 'latin1'");
    }
    return encode_latin1(reader, arguments->items[0], result);
}

static filtags_status call_bytes(struct pickle_reader *reader, const struct arguments *arguments, uint64_t *result) {
    uint8_t *bytes;
    if (arguments->n == 0) return pickle_make_bytes(reader->file, 0, result, &bytes);
    if (arguments->n == 1 && word_tag(arguments->items[0]) == TAG_BYTES) {
        *result = arguments->items[0];
        return FILTAGS_OK;
    }
    if (arguments->n == 2 && word_tag(arguments->items[0]) == TAG_STR && is_latin1(reader, arguments->items[1])) {
        return encode_latin1(reader, arguments->items[0], result);
    }
    return fail_arguments(reader, arguments, "bytes");
}

/* ---- containers ---- */

static filtags_status call_container(struct pickle_reader *reader, enum pickle_tag tag,
                                     const struct arguments *arguments, uint64_t *result) {
    if (arguments->n > 1 || (arguments->n == 1 && !is_container(arguments->items[0]))) {
        return fail_arguments(reader, arguments, "list");
    }
    if (arguments->n == 0 && tag == TAG_TUPLE) return pickle_make_tuple(reader->file, NULL, 0, result);
    if (arguments->n == 0) return pickle_make_container(reader->file, tag, NULL, 0, result);
    if (tag != TAG_TUPLE) return pickle_copy_container(reader->file, tag, arguments->items[0], result);
    if (word_tag(arguments->items[0]) != TAG_TUPLE) {
        return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "a tuple made from a %s",
                           pickle_word_name(arguments->items[0]));
    }
    *result = arguments->items[0];
    return FILTAGS_OK;
}

/* dict([[key, value], ...]): how Python 2 wrote an OrderedDict. */
static filtags_status call_dict(struct pickle_reader *reader, const struct arguments *arguments, uint64_t *result) {
    filtags_status status = pickle_make_container(reader->file, TAG_DICT, NULL, 0, result);
    if (status || arguments->n == 0) return status;
    pickle_value pairs = {arguments->items[0]};
    if (arguments->n > 1 || word_tag(pairs.word) != TAG_LIST) return fail_arguments(reader, arguments, "list");
    for (size_t i = 0; i < pickle_length(reader->file, pairs); i++) {
        pickle_value pair = pickle_item(reader->file, pairs, i);
        if (!is_container(pair.word) || pickle_length(reader->file, pair) != 2) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a dict made of pairs expected, item %zu is a %s", i,
                               pickle_word_name(pair.word));
        }
        uint64_t both[2] = {pickle_item(reader->file, pair, 0).word, pickle_item(reader->file, pair, 1).word};
        if ((status = pickle_extend(reader->file, *result, both, 2))) return status;
    }
    return FILTAGS_OK;
}

static filtags_status call_default_dict(struct pickle_reader *reader, const struct arguments *arguments,
                                        uint64_t *result) {
    bool is_factory =
        arguments->n == 1 && (word_tag(arguments->items[0]) == TAG_GLOBAL || arguments->items[0] == WORD_NONE);
    if (arguments->n > 1 || (arguments->n == 1 && !is_factory)) return fail_arguments(reader, arguments, "class");
    return pickle_make_container(reader->file, TAG_DICT, NULL, 0, result);
}

/* ---- NumPy: dtypes ---- */

static filtags_status parse_dtype(const struct pickle_reader *reader, const char *text, struct dtype *dtype) {
    const char *code = strchr("<>|=", text[0]) && text[0] ? text + 1 : text;
    struct dtype parsed = {.is_big_endian = text[0] == '>'};
    if (strcmp(code, "?") == 0) code = "b1";
    unsigned size_bytes =
        code[0] && code[1] >= '1' && code[1] <= '9' && code[2] == '\0' ? (unsigned)(code[1] - '0') : 0;
    bool is_power = size_bytes == 1 || size_bytes == 2 || size_bytes == 4 || size_bytes == 8;
    parsed.size_bytes = (uint8_t)size_bytes;
    parsed.kind = code[0] == 'b'   ? DTYPE_BOOL
                  : code[0] == 'i' ? DTYPE_INT
                  : code[0] == 'u' ? DTYPE_UNSIGNED
                                   : DTYPE_FLOAT;
    if (!is_power || !strchr("biuf", code[0]) || (code[0] == 'b' && size_bytes != 1) ||
        (code[0] == 'f' && size_bytes == 1)) {
        return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED,
                           "NumPy data of type '%.50s': bool, int or float of 1 to 8 bytes expected", text);
    }
    *dtype = parsed;
    return FILTAGS_OK;
}

static struct dtype *dtype_of(const struct pickle_reader *reader, uint64_t word) {
    return (struct dtype *)(void *)pickle_words(reader->file, word_place(word));
}

static filtags_status call_dtype(struct pickle_reader *reader, const struct arguments *arguments, uint64_t *result) {
    struct dtype dtype;
    uint64_t place;
    if (arguments->n < 1 || arguments->n > 3 || word_tag(arguments->items[0]) != TAG_STR) {
        return fail_arguments(reader, arguments, "str, bool, bool");
    }
    filtags_status status =
        parse_dtype(reader, pickle_as_str(reader->file, (pickle_value){arguments->items[0]}, NULL), &dtype);
    if (status || (status = pickle_make_words(reader->file, 1, &place))) return status;
    *result = word_make(TAG_DTYPE, place);
    *dtype_of(reader, *result) = dtype;
    return FILTAGS_OK;
}

/* State: (version, byte order, subarray, names, fields, size, alignment, flags ...). */
static filtags_status set_dtype_state(struct pickle_reader *reader, uint64_t object, pickle_value state) {
    const struct pickle_file *file = reader->file;
    if (word_tag(state.word) != TAG_TUPLE || pickle_length(file, state) < 5 ||
        word_tag(pickle_item(file, state, 1).word) != TAG_STR) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the state of a NumPy dtype expected: a tuple of 8");
    }
    for (size_t i = 2; i < 5; i++) {
        if (pickle_item(file, state, i).word != WORD_NONE) {
            return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "NumPy data with fields or subarrays");
        }
    }
    dtype_of(reader, object)->is_big_endian = is_str(reader, pickle_item(file, state, 1).word, ">");
    return FILTAGS_OK;
}

/* ---- NumPy: elements ---- */

static double half_to_double(uint64_t bits) {
    int exponent = (int)(bits >> 10 & 0x1f);
    double fraction = (double)(bits & 0x3ff);
    double size = exponent == 31 ? (fraction > 0 ? NAN : INFINITY)
                                 : exponent == 0 ? ldexp(fraction, -24) : ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -size : size;
}

static uint64_t load_bits(const uint8_t *bytes, const struct dtype *dtype) {
    uint64_t bits = 0;
    for (unsigned i = 0; i < dtype->size_bytes; i++) {
        bits = bits << 8 | bytes[dtype->is_big_endian ? i : dtype->size_bytes - 1u - i];
    }
    return bits;
}

static int64_t sign_extend(uint64_t bits, const struct dtype *dtype) {
    unsigned shift = 64 - 8u * dtype->size_bytes;
    return (int64_t)(bits << shift) >> shift;
}

static double bits_to_double(uint64_t bits, const struct dtype *dtype) {
    uint32_t low = (uint32_t)bits;
    float single;
    double number;
    switch (dtype->kind) {
    case DTYPE_BOOL:
        return bits != 0;
    case DTYPE_UNSIGNED:
        return (double)bits;
    case DTYPE_INT:
        return (double)sign_extend(bits, dtype);
    default:
        break;
    }
    if (dtype->size_bytes == 2) return half_to_double(bits);
    if (dtype->size_bytes == 4) {
        memcpy(&single, &low, sizeof single);
        return single;
    }
    memcpy(&number, &bits, sizeof number);
    return number;
}

/* numpy.core.multiarray.scalar(dtype, bytes): becomes a plain number. */
static filtags_status call_scalar(struct pickle_reader *reader, const struct arguments *arguments, uint64_t *result) {
    uint64_t bytes = arguments->items[1];
    if (arguments->n != 2 || word_tag(arguments->items[0]) != TAG_DTYPE ||
        (word_tag(bytes) != TAG_BYTES && word_tag(bytes) != TAG_STR)) {
        return fail_arguments(reader, arguments, "dtype, bytes");
    }
    filtags_status status = encode_latin1(reader, bytes, &bytes);
    if (status) return status;
    size_t n_bytes;
    const uint8_t *data = (const uint8_t *)pickle_as_str(reader->file, (pickle_value){bytes}, &n_bytes);
    struct dtype dtype = *dtype_of(reader, arguments->items[0]);
    if (n_bytes != dtype.size_bytes) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "a NumPy number of %u bytes expected, found %zu",
                           dtype.size_bytes, n_bytes);
    }
    uint64_t bits = load_bits(data, &dtype);
    switch (dtype.kind) {
    case DTYPE_BOOL:
        *result = bits ? WORD_TRUE : WORD_FALSE;
        return FILTAGS_OK;
    case DTYPE_INT:
        return pickle_make_int(reader->file, sign_extend(bits, &dtype), result);
    case DTYPE_UNSIGNED:
        return pickle_make_int(reader->file, bits > INT64_MAX ? INT64_MAX : (int64_t)bits, result);
    default:
        return pickle_make_float(reader->file, bits_to_double(bits, &dtype), result);
    }
}

/* ---- NumPy: arrays ---- */

/* How an array lies in its bytes: in C order of stored_dims, whose axis axes[i] is the array's axis i. */
struct layout {
    size_t n_dims;
    size_t stored_dims[MAX_DIMS];
    size_t axes[MAX_DIMS];
    size_t n_elements;
};

static filtags_status parse_shape(const struct pickle_reader *reader, uint64_t shape, struct layout *layout) {
    const struct pickle_file *file = reader->file;
    *layout = (struct layout){.n_elements = 1};
    if (word_tag(shape) != TAG_TUPLE || pickle_length(file, (pickle_value){shape}) > MAX_DIMS) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the shape of a NumPy array expected, found a %s",
                           pickle_word_name(shape));
    }
    layout->n_dims = pickle_length(file, (pickle_value){shape});
    bool has_zero = false;
    for (size_t i = 0; i < layout->n_dims; i++) {
        pickle_value size = pickle_item(file, (pickle_value){shape}, i);
        if (word_tag(size.word) != TAG_INT || pickle_as_int(file, size) < 0) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                               "the shape of a NumPy array expected, size %zu is a negative or no number", i);
        }
        layout->stored_dims[i] = (size_t)pickle_as_int(file, size);
        layout->axes[i] = i;
        has_zero |= layout->stored_dims[i] == 0;
    }
    for (size_t i = 0; i < layout->n_dims && !has_zero; i++) {
        if (__builtin_mul_overflow(layout->n_elements, layout->stored_dims[i], &layout->n_elements)) {
            return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the shape of a NumPy array with more than 2^64 elements");
        }
    }
    if (has_zero) layout->n_elements = 0;
    return FILTAGS_OK;
}

/* Fortran order is C order of the reversed shape. */
static void reverse_axes(struct layout *layout) {
    for (size_t i = 0, j = layout->n_dims; i < j; i++) {
        size_t dim = layout->stored_dims[i];
        j--;
        layout->stored_dims[i] = layout->stored_dims[j];
        layout->stored_dims[j] = dim;
        layout->axes[i] = j;
        layout->axes[j] = i;
    }
}

static filtags_status parse_axes(const struct pickle_reader *reader, uint64_t axes, struct layout *layout) {
    const struct pickle_file *file = reader->file;
    bool is_used[MAX_DIMS] = {false};
    bool is_good = word_tag(axes) == TAG_TUPLE && pickle_length(file, (pickle_value){axes}) == layout->n_dims;
    for (size_t i = 0; is_good && i < layout->n_dims; i++) {
        pickle_value axis = pickle_item(file, (pickle_value){axes}, i);
        int64_t number = word_tag(axis.word) == TAG_INT ? pickle_as_int(file, axis) : -1;
        is_good = number >= 0 && number < (int64_t)layout->n_dims && !is_used[number];
        if (is_good) {
            is_used[number] = true;
            layout->axes[i] = (size_t)number;
        }
    }
    return is_good ? FILTAGS_OK
                   : pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the order of a NumPy array's axes is malformed");
}

/* Convert the elements to doubles in the array's own C order. */
static void convert_elements(const struct layout *layout, const struct dtype *dtype, const uint8_t *bytes, double *to) {
    size_t stored_steps[MAX_DIMS] = {0}, steps[MAX_DIMS] = {0}, index[MAX_DIMS] = {0};
    size_t step = 1, from = 0;
    for (size_t i = layout->n_dims; i-- > 0;) {
        stored_steps[i] = step;
        step *= layout->stored_dims[i];
    }
    for (size_t i = 0; i < layout->n_dims; i++) steps[i] = stored_steps[layout->axes[i]];
    for (size_t n = 0; n < layout->n_elements; n++) {
        to[n] = bits_to_double(load_bits(bytes + from * dtype->size_bytes, dtype), dtype);
        for (size_t i = layout->n_dims; i-- > 0;) { /* count up like an odometer */
            from += steps[i];
            if (++index[i] < layout->stored_dims[layout->axes[i]]) break;
            from -= index[i] * steps[i];
            index[i] = 0;
        }
    }
}

static filtags_status make_array(struct pickle_reader *reader, uint64_t *array) {
    uint64_t place;
    filtags_status status = pickle_make_words(reader->file, 5, &place);
    if (status) return status;
    uint64_t *words = pickle_words(reader->file, place);
    words[0] = 0; /* elements */
    words[1] = 1; /* dimensions */
    words[2] = place + 4;
    words[3] = place + 4;
    words[4] = 0; /* the one dimension's size */
    *array = word_make(TAG_ARRAY, place);
    return FILTAGS_OK;
}

static filtags_status fill_array(struct pickle_reader *reader, uint64_t array, const struct layout *layout,
                                 uint64_t dtype, uint64_t bytes) {
    struct dtype type = *dtype_of(reader, dtype);
    size_t n_bytes, n_expected;
    uint64_t place;
    filtags_status status = encode_latin1(reader, bytes, &bytes);
    if (status) return status;
    pickle_as_str(reader->file, (pickle_value){bytes}, &n_bytes);
    if (__builtin_mul_overflow(layout->n_elements, (size_t)type.size_bytes, &n_expected) || n_bytes != n_expected) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                           "a NumPy array of %zu elements of %u bytes expected, found %zu bytes", layout->n_elements,
                           type.size_bytes, n_bytes);
    }
    if ((status = pickle_make_words(reader->file, layout->n_dims + layout->n_elements, &place))) return status;
    uint64_t *words = pickle_words(reader->file, word_place(array));
    words[0] = layout->n_elements;
    words[1] = layout->n_dims;
    words[2] = place;
    words[3] = place + layout->n_dims;
    uint64_t *dims = pickle_words(reader->file, place);
    for (size_t i = 0; i < layout->n_dims; i++) dims[i] = layout->stored_dims[layout->axes[i]];
    const char *data = pickle_as_str(reader->file, (pickle_value){bytes}, NULL);
    convert_elements(layout, &type, (const uint8_t *)data, (double *)(void *)(dims + layout->n_dims));
    return FILTAGS_OK;
}

/* _reconstruct(ndarray, (0,), b'b'): an empty array; its state follows. */
static filtags_status call_reconstruct(struct pickle_reader *reader, const struct arguments *arguments,
                                       uint64_t *result) {
    if (arguments->n != 3 || !is_global(arguments->items[0], GLOBAL_NDARRAY)) {
        return fail_arguments(reader, arguments, "numpy.ndarray, (0,), b'b'");
    }
    return make_array(reader, result);
}

/* State: (version, shape, dtype, is in Fortran order, bytes). */
static filtags_status set_array_state(struct pickle_reader *reader, uint64_t object, pickle_value state) {
    struct layout layout;
    if (word_tag(state.word) != TAG_TUPLE || pickle_length(reader->file, state) != 5) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT, "the state of a NumPy array expected: a tuple of 5");
    }
    uint64_t items[5];
    for (size_t i = 0; i < 5; i++) items[i] = pickle_item(reader->file, state, i).word;
    if (word_tag(items[2]) != TAG_DTYPE || (word_tag(items[4]) != TAG_BYTES && word_tag(items[4]) != TAG_STR)) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                           "a NumPy array's dtype and bytes expected, found a %s and a %s", pickle_word_name(items[2]),
                           pickle_word_name(items[4]));
    }
    filtags_status status = parse_shape(reader, items[1], &layout);
    if (status) return status;
    if (items[3] == WORD_TRUE || items[3] == word_make(TAG_INT, 1)) reverse_axes(&layout);
    return fill_array(reader, object, &layout, items[2], items[4]);
}

/* _frombuffer(bytes, dtype, shape, order[, axes]): arrays of protocol 5. */
static filtags_status call_frombuffer(struct pickle_reader *reader, const struct arguments *arguments,
                                      uint64_t *result) {
    const uint64_t *items = arguments->items;
    struct layout layout;
    if (arguments->n < 4 || arguments->n > 5 || word_tag(items[0]) != TAG_BYTES || word_tag(items[1]) != TAG_DTYPE) {
        return fail_arguments(reader, arguments, "bytes, dtype, shape, order");
    }
    filtags_status status = parse_shape(reader, items[2], &layout);
    if (status) return status;
    if (is_str(reader, items[3], "F")) {
        reverse_axes(&layout);
    } else if (is_str(reader, items[3], "K") && arguments->n == 5) {
        if ((status = parse_axes(reader, items[4], &layout))) return status;
    } else if (!is_str(reader, items[3], "C")) {
        return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED,
                           "a NumPy array in an order that is neither C nor Fortran");
    }
    if ((status = make_array(reader, result))) return status;
    return fill_array(reader, *result, &layout, items[1], items[0]);
}

/* ---- */

filtags_status pickle_set_state(struct pickle_reader *reader, uint64_t object, uint64_t state) {
    if (word_tag(object) == TAG_DTYPE) return set_dtype_state(reader, object, (pickle_value){state});
    if (word_tag(object) == TAG_ARRAY) return set_array_state(reader, object, (pickle_value){state});
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "state for a %s, which has none", pickle_word_name(object));
}

static filtags_status fail_call(const struct pickle_reader *reader, const struct arguments *arguments) {
    return pickle_fail(reader, FILTAGS_ERROR_UNSUPPORTED, "a call of %s", arguments->function);
}

filtags_status pickle_call(struct pickle_reader *reader, uint64_t callable, uint64_t argument_tuple, uint64_t *result) {
    struct arguments arguments = {0};
    pickle_value tuple = {argument_tuple};
    if (word_tag(callable) != TAG_GLOBAL || word_tag(tuple.word) != TAG_TUPLE) {
        return pickle_fail(reader, FILTAGS_ERROR_FORMAT,
                           "a function and a tuple of arguments expected, found a %s and a %s",
                           pickle_word_name(callable), pickle_word_name(tuple.word));
    }
    enum pickle_global global = (enum pickle_global)word_place(callable);
    for (size_t i = 0; i < sizeof globals / sizeof *globals && !arguments.function; i++) {
        if (globals[i].global == global) arguments.function = globals[i].name;
    }
    arguments.n = pickle_length(reader->file, tuple);
    if (arguments.n > sizeof arguments.items / sizeof *arguments.items) return fail_call(reader, &arguments);
    for (size_t i = 0; i < arguments.n; i++) arguments.items[i] = pickle_item(reader->file, tuple, i).word;
    switch (global) {
    case GLOBAL_RECONSTRUCT: return call_reconstruct(reader, &arguments, result);
    case GLOBAL_SCALAR: return call_scalar(reader, &arguments, result);
    case GLOBAL_DTYPE: return call_dtype(reader, &arguments, result);
    case GLOBAL_FROMBUFFER: return call_frombuffer(reader, &arguments, result);
    case GLOBAL_ENCODE: return call_encode(reader, &arguments, result);
    case GLOBAL_LIST: return call_container(reader, TAG_LIST, &arguments, result);
    case GLOBAL_TUPLE: return call_container(reader, TAG_TUPLE, &arguments, result);
    case GLOBAL_SET:
    case GLOBAL_FROZENSET: return call_container(reader, TAG_SET, &arguments, result);
    case GLOBAL_DICT:
    case GLOBAL_ORDERED_DICT: return call_dict(reader, &arguments, result);
    case GLOBAL_DEFAULT_DICT: return call_default_dict(reader, &arguments, result);
    case GLOBAL_BYTES:
    case GLOBAL_BYTEARRAY: return call_bytes(reader, &arguments, result);
    case GLOBAL_NDARRAY: break;
    }
    return fail_call(reader, &arguments);
}
