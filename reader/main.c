/* filtags-read - parses a file for the library in a process that can do nothing else, see docs/security.md.
 *
 *     filtags-read hdf5|pictures [SIZE]
 *
 * Descriptor 0 is the socket that questions come from and answers go to, descriptor 3 the file, or the memory that is
 * shared; with SIZE, so many bytes of the file come from the socket first. Not for people: it is started by
 * src/base/reader_process.c alone, which limits its processor time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/reader_process.h"
#include "base/sandbox.h"
#include "base/wire.h"
#include "image/image_serve.h"
#include "model/hdf5_parse.h"
#include "model/hdf5_serve.h"

enum { EXIT_USAGE = 2, EXIT_NO_FILE = 3, EXIT_NO_SANDBOX = 4, EXIT_TALK = 5 };

static bool read_all(void *bytes, size_t n_bytes) {
    size_t n_read;
    return descriptor_read(READER_TALK_FD, bytes, n_bytes, &n_read) && n_read == n_bytes;
}

static bool write_all(const void *bytes, size_t n_bytes) { return descriptor_write(READER_TALK_FD, bytes, n_bytes); }

struct contents {
    void *bytes;
    size_t size_bytes;
    bool is_hdf5;
    struct hdf5_server server;
};

/* What comes from the socket. */
static bool receive_contents(struct contents *contents, const char *size) {
    contents->size_bytes = strtoull(size, NULL, 10);
    contents->bytes = mmap(NULL, contents->size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    contents->server = (struct hdf5_server){contents->bytes, contents->size_bytes, NULL};
    return contents->is_hdf5 && contents->bytes != MAP_FAILED && read_all(contents->bytes, contents->size_bytes);
}

/* What is at descriptor READER_FD, which is closed. */
static bool map_contents(struct contents *contents) {
    struct stat info;
    if (fstat(READER_FD, &info) || info.st_size <= 0) return false;
    if (!contents->is_hdf5 && (size_t)info.st_size != IMAGE_ROOM_BYTES) return false;
    contents->size_bytes = (size_t)info.st_size;
    contents->bytes = contents->is_hdf5
                          ? mmap(NULL, contents->size_bytes, PROT_READ, MAP_PRIVATE, READER_FD, 0)
                          : mmap(NULL, contents->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, READER_FD, 0);
    contents->server = (struct hdf5_server){contents->bytes, contents->size_bytes, NULL};
    close(READER_FD);
    return contents->bytes != MAP_FAILED;
}

/* What the largest good file needs, and some: of HDF5, a chunk, which is smaller than the file but for its packing; of a
 * picture, several times its pixels. */
static size_t memory_limit(const struct contents *contents) {
    const size_t gigabyte = (size_t)1 << 30;
    return contents->is_hdf5 ? gigabyte + contents->size_bytes : 3 * gigabyte;
}

static bool answer_question(struct contents *contents, const struct buffer *question, struct buffer *answer) {
    if (contents->is_hdf5) return hdf5_serve(&contents->server, question->data, question->size_bytes, answer);
    return image_serve(contents->bytes, question->data, question->size_bytes, answer);
}

static bool read_question(struct buffer *question) {
    enum { MOST_BYTES = 1 << 20 };
    struct wire_header header;
    char block[4096];
    question->size_bytes = 0;
    if (!read_all(&header, sizeof header) || header.magic != WIRE_MAGIC || header.n_bytes > MOST_BYTES) return false;
    for (size_t n_left = header.n_bytes, n; n_left; n_left -= n) {
        n = n_left < sizeof block ? n_left : sizeof block;
        if (!read_all(block, n)) return false;
        buffer_append(question, block, n);
    }
    return !question->has_failed && question->size_bytes > 0;
}

/* Until the other side closes the socket. */
static bool answer_questions(struct contents *contents) {
    struct buffer question = {0}, answer = {0};
    bool is_well = true;
    while (is_well && read_question(&question)) {
        answer.size_bytes = 0;
        is_well = answer_question(contents, &question, &answer);
        const struct wire_header header = {WIRE_MAGIC, answer.size_bytes};
        is_well = is_well && write_all(&header, sizeof header) && write_all(answer.data, answer.size_bytes);
    }
    return is_well; /* the process ends here */
}

int main(int n_arguments, char *arguments[]) {
    const struct wire_header hello = {WIRE_MAGIC, 0};
    struct contents contents = {.is_hdf5 = n_arguments >= 2 && strcmp(arguments[1], "hdf5") == 0};
    bool is_filtered;
    if (n_arguments < 2 || n_arguments > 3 || (!contents.is_hdf5 && strcmp(arguments[1], "pictures") != 0)) {
        fputs("filtags-read reads files for filtags, which starts it when it is needed\n", stderr);
        return EXIT_USAGE;
    }
    if (n_arguments == 3 ? !receive_contents(&contents, arguments[2]) : !map_contents(&contents)) return EXIT_NO_FILE;
    if (contents.is_hdf5) parse_prepare();
    if (!sandbox_enter(memory_limit(&contents), READER_TALK_FD, &is_filtered)) return EXIT_NO_SANDBOX;
    /* no exit handlers: nothing is left to do, and a sanitizer's search for leaks would wait for rights forever */
    _exit(write_all(&hello, sizeof hello) && answer_questions(&contents) ? 0 : EXIT_TALK);
}
