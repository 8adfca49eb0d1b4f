/* warm_reader.h - what a fuzzer tells warm_reader, a filtags-read that is linked and set up once, and forks for each
 * file.
 *
 * One message on descriptor 0 for each reader wanted: this, with the descriptor that the reader is to talk on. The
 * answer is the process number, of a child of the fuzzer's. */
#ifndef FILTAGS_WARM_READER_H
#define FILTAGS_WARM_READER_H

#include <sys/types.h>

struct warm_request {
    char arguments[2][32]; /* of filtags-read; the second one may be empty */
};

/* How a reader of a build with sanitizers ends: they, or the stack, said so. See fuzz_rehearse. */
enum { READER_FAILED_IN_LIBRARY = 77, READER_FAILED = 78 };

#endif
