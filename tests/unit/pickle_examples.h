/* pickle_examples.h - for the tests of pickles: short ones, most of them wrong, and what is to be said of each. */
#ifndef FILTAGS_TESTS_PICKLE_EXAMPLES_H
#define FILTAGS_TESTS_PICKLE_EXAMPLES_H

#include "filtags.h"

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

#endif
