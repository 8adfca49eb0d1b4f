#include "store/pickle.h"

#include <math.h>
#include <string.h>

#include "base/text.h"

/* Opcodes of pickle protocol 2 (Python: pickletools.opcodes). */
enum {
    OP_MARK = '(', OP_STOP = '.', OP_NONE = 'N', OP_PROTO = 0x80,
    OP_BININT = 'J', OP_BININT1 = 'K', OP_BININT2 = 'M', OP_LONG1 = 0x8a, OP_BINFLOAT = 'G',
    OP_NEWTRUE = 0x88, OP_NEWFALSE = 0x89, OP_BINUNICODE = 'X',
    OP_EMPTY_LIST = ']', OP_APPENDS = 'e', OP_EMPTY_DICT = '}', OP_SETITEMS = 'u', OP_TUPLE = 't', OP_TUPLE1 = 0x85,
    OP_TUPLE2 = 0x86, OP_TUPLE3 = 0x87, OP_BINPUT = 'q', OP_LONG_BINPUT = 'r', OP_BINGET = 'h', OP_LONG_BINGET = 'j',
    OP_GLOBAL = 'c', OP_REDUCE = 'R', OP_BUILD = 'b'
};

/* What the arrays of one pickle share, as places in the memo counted from array_memo. */
enum { MEMO_RECONSTRUCT, MEMO_RECONSTRUCT_ARGUMENTS, MEMO_DTYPE, MEMO_ENCODE, MEMO_LATIN1, N_MEMO_ARRAY };

static void put_byte(struct pickle_writer *writer, int byte) { putc_unlocked(byte, writer->stream); }

static void put_bytes(struct pickle_writer *writer, const void *bytes, size_t n) {
    if (n) fwrite_unlocked(bytes, 1, n, writer->stream);
}

/* An opcode and its operand, the n_bytes low bytes of value, little-endian. */
static void put_operand(struct pickle_writer *writer, int opcode, uint64_t value, size_t n_bytes) {
    unsigned char bytes[9] = {(unsigned char)opcode};
    for (size_t i = 0; i < n_bytes; i++) bytes[1 + i] = (unsigned char)(value >> (8 * i));
    put_bytes(writer, bytes, 1 + n_bytes);
}

static void put_memo(struct pickle_writer *writer, uint32_t place) {
    put_operand(writer, place < 256 ? OP_BINPUT : OP_LONG_BINPUT, place, place < 256 ? 1 : 4);
}

static void get_memo(struct pickle_writer *writer, uint32_t place) {
    put_operand(writer, place < 256 ? OP_BINGET : OP_LONG_BINGET, place, place < 256 ? 1 : 4);
}

static void put_global(struct pickle_writer *writer, const char *module, const char *name) {
    put_byte(writer, OP_GLOBAL);
    put_bytes(writer, module, strlen(module));
    put_byte(writer, '\n');
    put_bytes(writer, name, strlen(name));
    put_byte(writer, '\n');
}

void pickle_begin(struct pickle_writer *writer, FILE *stream) {
    writer->stream = stream;
    writer->n_memo = 0;
    writer->array_memo = UINT32_MAX;
    put_operand(writer, OP_PROTO, 2, 1);
}

void pickle_end(struct pickle_writer *writer) { put_byte(writer, OP_STOP); }

void pickle_none(struct pickle_writer *writer) { put_byte(writer, OP_NONE); }

void pickle_int(struct pickle_writer *writer, int64_t value) {
    if (value >= 0 && value < 0x100) {
        put_operand(writer, OP_BININT1, (uint64_t)value, 1);
    } else if (value >= 0 && value < 0x10000) {
        put_operand(writer, OP_BININT2, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        put_operand(writer, OP_BININT, (uint64_t)value, 4);
    } else {
        put_operand(writer, OP_LONG1, 8, 1);
        for (int i = 0; i < 8; i++) put_byte(writer, (int)((uint64_t)value >> (8 * i) & 0xff));
    }
}

void pickle_float(struct pickle_writer *writer, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_operand(writer, OP_BINFLOAT, __builtin_bswap64(bits), 8); /* the one big-endian operand */
}

void pickle_number(struct pickle_writer *writer, double value) {
    if (fabs(value) < 0x1p53 && value == rint(value)) pickle_int(writer, (int64_t)value);
    else pickle_float(writer, value);
}

/* Write what text_append_fsdecoded gives, straight to the stream: a writer has no way to report that memory for
 * a copy ran out. */
static void put_fsdecoded(struct pickle_writer *writer, const char *text, size_t n_bytes) {
    for (size_t i = 0; i < n_bytes;) {
        size_t n = utf8_sequence_length(text + i, n_bytes - i);
        if (n) {
            put_bytes(writer, text + i, n);
            i += n;
        } else { /* U+DC80..U+DCFF in three bytes */
            int byte = (unsigned char)text[i++];
            put_byte(writer, 0xed);
            put_byte(writer, 0xb0 | byte >> 6);
            put_byte(writer, 0x80 | (byte & 0x3f));
        }
    }
}

void pickle_str(struct pickle_writer *writer, const char *text) {
    size_t n_bytes = strlen(text);
    size_t n_invalid = 0;
    for (size_t i = 0; i < n_bytes;) {
        size_t n = utf8_sequence_length(text + i, n_bytes - i);
        n_invalid += n == 0;
        i += n ? n : 1;
    }
    put_operand(writer, OP_BINUNICODE, n_bytes + 2 * n_invalid, 4); /* names are far below 4 GiB */
    if (n_invalid) put_fsdecoded(writer, text, n_bytes);
    else put_bytes(writer, text, n_bytes);
}

void pickle_str_shared(struct pickle_writer *writer, const char *text, uint32_t *memo) {
    if (*memo != UINT32_MAX) {
        get_memo(writer, *memo);
        return;
    }
    pickle_str(writer, text);
    *memo = writer->n_memo++;
    put_memo(writer, *memo);
}

void pickle_list_open(struct pickle_writer *writer) {
    put_byte(writer, OP_EMPTY_LIST);
    put_byte(writer, OP_MARK);
}

void pickle_list_close(struct pickle_writer *writer) { put_byte(writer, OP_APPENDS); }

void pickle_dict_open(struct pickle_writer *writer) {
    put_byte(writer, OP_EMPTY_DICT);
    put_byte(writer, OP_MARK);
}

void pickle_dict_close(struct pickle_writer *writer) { put_byte(writer, OP_SETITEMS); }

void pickle_tuple_open(struct pickle_writer *writer) { put_byte(writer, OP_MARK); }

void pickle_tuple_close(struct pickle_writer *writer) { put_byte(writer, OP_TUPLE); }

static void put_bool(struct pickle_writer *writer, bool value) { put_byte(writer, value ? OP_NEWTRUE : OP_NEWFALSE); }

/* numpy.core.multiarray._reconstruct(numpy.ndarray, (0,), b'b'): an empty array, to be filled by BUILD. */
static void put_reconstruct(struct pickle_writer *writer, uint32_t memo, bool is_first) {
    if (!is_first) {
        get_memo(writer, memo + MEMO_RECONSTRUCT);
        get_memo(writer, memo + MEMO_RECONSTRUCT_ARGUMENTS);
        put_byte(writer, OP_REDUCE);
        return;
    }
    put_global(writer, "numpy.core.multiarray", "_reconstruct");
    put_memo(writer, memo + MEMO_RECONSTRUCT);
    put_global(writer, "numpy", "ndarray");
    pickle_int(writer, 0);
    put_byte(writer, OP_TUPLE1);
    put_global(writer, "_codecs", "encode");
    put_memo(writer, memo + MEMO_ENCODE);
    pickle_str(writer, "b");
    pickle_str(writer, "latin1");
    put_memo(writer, memo + MEMO_LATIN1);
    put_byte(writer, OP_TUPLE2);
    put_byte(writer, OP_REDUCE);
    put_byte(writer, OP_TUPLE3);
    put_memo(writer, memo + MEMO_RECONSTRUCT_ARGUMENTS);
    put_byte(writer, OP_REDUCE);
}

/* numpy.dtype('f4', False, True) with its state: little-endian. */
static void put_dtype(struct pickle_writer *writer, uint32_t memo, bool is_first) {
    if (!is_first) {
        get_memo(writer, memo + MEMO_DTYPE);
        return;
    }
    put_global(writer, "numpy", "dtype");
    pickle_str(writer, "f4");
    put_bool(writer, false);
    put_bool(writer, true);
    put_byte(writer, OP_TUPLE3);
    put_byte(writer, OP_REDUCE);
    put_memo(writer, memo + MEMO_DTYPE);
    pickle_tuple_open(writer);
    pickle_int(writer, 3); /* version of the state */
    pickle_str(writer, "<");
    for (int i = 0; i < 3; i++) pickle_none(writer); /* no subarray, names, fields */
    pickle_int(writer, -1);
    pickle_int(writer, -1);
    pickle_int(writer, 0);
    pickle_tuple_close(writer);
    put_byte(writer, OP_BUILD);
}

/* The bytes of little-endian float32 values, each byte b as the character U+00bb, in UTF-8: protocol 2 has no
 * opcode for bytes, and Python itself writes them as _codecs.encode(text, 'latin1'). */
static void put_float32_text(struct pickle_writer *writer, const float *values, size_t n) {
    size_t n_high = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        n_high += (size_t)__builtin_popcount(bits & 0x80808080u);
    }
    put_operand(writer, OP_BINUNICODE, 4 * n + n_high, 4);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8) {
            int byte = bits >> shift & 0xff;
            if (byte & 0x80) {
                put_byte(writer, 0xc0 | byte >> 6);
                byte &= 0xbf;
            }
            put_byte(writer, byte);
        }
    }
}

void pickle_array_float32(struct pickle_writer *writer, const float *values, size_t n) {
    bool is_first = writer->array_memo == UINT32_MAX;
    if (is_first) {
        writer->array_memo = writer->n_memo;
        writer->n_memo += N_MEMO_ARRAY;
    }
    uint32_t memo = writer->array_memo;
    put_reconstruct(writer, memo, is_first);
    pickle_tuple_open(writer);
    pickle_int(writer, 1); /* version of the state */
    pickle_int(writer, (int64_t)n);
    put_byte(writer, OP_TUPLE1);
    put_dtype(writer, memo, is_first);
    put_bool(writer, false); /* not in Fortran order */
    get_memo(writer, memo + MEMO_ENCODE);
    put_float32_text(writer, values, n);
    get_memo(writer, memo + MEMO_LATIN1);
    put_byte(writer, OP_TUPLE2);
    put_byte(writer, OP_REDUCE);
    pickle_tuple_close(writer);
    put_byte(writer, OP_BUILD);
}
