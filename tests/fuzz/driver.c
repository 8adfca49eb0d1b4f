/* driver.c - a target without a fuzzer: each argument is a file, or a folder of files, to run it on; without any, what
 * standard input has. So the seeds and whatever once crashed are tests of every build, with any compiler. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

static size_t n_runs;

static void run_stream(FILE *stream) {
    size_t n = 0, capacity = 1 << 16;
    uint8_t *bytes = malloc(capacity);
    MUST(bytes != NULL);
    for (size_t n_now; (n_now = fread(bytes + n, 1, capacity - n, stream)) > 0;) {
        n += n_now;
        if (n < capacity) continue;
        bytes = realloc(bytes, capacity *= 2);
        MUST(bytes != NULL);
    }
    /* exactly as many bytes as there are, so that a sanitizer sees what reads past them */
    uint8_t *exact = malloc(n ? n : 1);
    MUST(exact != NULL);
    memcpy(exact, bytes, n);
    free(bytes);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
    n_runs++;
}

static void run_file(const char *path) {
    FILE *stream = fopen(path, "rb");
    if (!stream) {
        perror(path);
        exit(1);
    }
    fprintf(stderr, "%s\n", path); /* the last one is it */
    run_stream(stream);
    fclose(stream);
}

static void run_path(const char *path) {
    struct stat info;
    struct dirent **entries;
    if (stat(path, &info) || !S_ISDIR(info.st_mode)) {
        run_file(path);
        return;
    }
    int n = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char inner[4096];
        snprintf(inner, sizeof inner, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') run_path(inner);
        free(entries[i]);
    }
    if (n >= 0) free(entries);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) run_path(argv[i]);
    if (argc == 1) run_stream(stdin);
    printf("%zu files\n", n_runs);
    if (n_runs) printf("[  PASSED  ] 1 test(s).\n"); /* as cmocka says it, for tools/count_tests.py */
    return n_runs ? 0 : 1;
}
