/* fuzz.h - what the fuzz targets share. Each target is one LLVMFuzzerTestOneInput, which libFuzzer, AFL++ or driver.c
 * calls. A target aborts where a reader did something that it promises not to do. */
#ifndef FILTAGS_FUZZ_H
#define FILTAGS_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Abort unless it holds, and say which line it is. */
#define MUST(condition) fuzz_must(condition, #condition, __FILE__, __LINE__)
void fuzz_must(bool holds, const char *condition, const char *file, int line);

/* A reader of files gets one in memory (/dev/shm, where there is such), of this name and contents. Returns its path,
 * the same each time for a name. At most 8 names; the files go when the program ends in good order. */
const char *fuzz_file(const char *name, const void *bytes, size_t n_bytes);

/* Do something in a child process first, and return whether it may be done in this one: false where it crashed in
 * libhdf5, or got no end there in a fifth of a second of the processor. What goes wrong in our own code happens here
 * once more, and is reported. A fork takes far longer than most files: with FILTAGS_FUZZ_IN_PROCESS there is none, and
 * a crash in libhdf5 ends the process with status 77, for run.py to start another. */
bool fuzz_rehearse(void (*act)(const uint8_t *data, size_t size), const uint8_t *data, size_t size);

/* In a reader of a build with sanitizers: from here on a failure ends it with an exit status that says whose it is, see
 * warm_reader.h. Otherwise nothing: such a reader fails as the product's does. */
void fuzz_judge_reader(void);

#endif
