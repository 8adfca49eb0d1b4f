#include "image/picture_reader.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/reader_process.h"
#include "base/wire.h"
#include "image/image_serve.h"

struct picture_reader {
    int memory;    /* shared with the process */
    uint8_t *room; /* [IMAGE_ROOM_BYTES] of it */
    struct reader_process *process;
};

/* Memory of a size that neither side can change: else the other one could make this process read behind its end. */
static filtags_status make_room(struct picture_reader *reader) {
    struct rlimit limit; /* past which the system would send a signal */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < IMAGE_ROOM_BYTES) {
        return error_set(FILTAGS_ERROR_MEMORY, "decoding pictures in another process takes a limit on file sizes "
                         "(ulimit -f) of at least %zu bytes, found %zu", IMAGE_ROOM_BYTES, (size_t)limit.rlim_cur);
    }
    reader->memory = memfd_create("filtags-picture", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (reader->memory < 0 || ftruncate(reader->memory, (off_t)IMAGE_ROOM_BYTES) ||
        fcntl(reader->memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return error_set_errno(FILTAGS_ERROR_MEMORY, "memory to share with a picture's decoder cannot be had");
    void *room = mmap(NULL, IMAGE_ROOM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, reader->memory, 0);
    if (room == MAP_FAILED) return error_out_of_memory(IMAGE_ROOM_BYTES);
    reader->room = room;
    return FILTAGS_OK;
}

filtags_status picture_reader_create(struct picture_reader **reader) {
    struct picture_reader *created = memory_new(1, sizeof *created);
    if (!created) return FILTAGS_ERROR_MEMORY;
    created->memory = -1;
    filtags_status status = make_room(created);
    if (status) picture_reader_destroy(created);
    else *reader = created;
    return status;
}

void picture_reader_destroy(struct picture_reader *reader) {
    if (!reader) return;
    reader_stop(reader->process);
    if (reader->room) munmap(reader->room, IMAGE_ROOM_BYTES);
    if (reader->memory >= 0) close(reader->memory);
    free(reader);
}

/* Check what the other process says of a picture, and copy the pixels, so that it can't change them any more. */
static filtags_status take_image(const struct picture_reader *reader, const struct image_source *source,
                                 struct wire_reader *answer, struct image *image) {
    filtags_status status = reader_take_status(source->path, answer);
    if (status) return status;
    size_t width = wire_number_to(answer, IMAGE_MAX_PIXELS), height = wire_number_to(answer, IMAGE_MAX_PIXELS);
    size_t channels = wire_number_to(answer, 3);
    if (!wire_is_at_end(answer) || width == 0 || height > IMAGE_MAX_PIXELS / width || (channels != 1 && channels != 3))
        return reader_refuse(source->path);
    status = image_allocate(source, width, height, channels, image);
    if (!status) memcpy(image->pixels, reader->room + IMAGE_MAX_FILE_BYTES, width * height * channels);
    return status;
}

static void give_back(const struct picture_reader *reader, size_t offset, size_t n_bytes) {
    enum { KEPT_BYTES = 16 << 20 };
    if (n_bytes > KEPT_BYTES)
        fallocate(reader->memory, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)n_bytes);
}

static filtags_status decode(struct picture_reader *reader, const struct image_source *source, struct image *image) {
    enum { LIMIT_MS = 20000, MOST_ANSWER_BYTES = 4096 };
    const struct reader_task task = {.kind = "pictures", .fd = reader->memory, .cpu_ms = LIMIT_MS};
    struct buffer question = {0}, answer = {0};
    filtags_status status = reader->process ? FILTAGS_OK : reader_start(&task, &reader->process);
    if (status) return status;
    memcpy(reader->room, source->bytes, source->n_bytes);
    wire_put_number(&question, source->n_bytes);
    status = reader_ask(reader->process, source->path, &question, MOST_ANSWER_BYTES, &answer);
    if (status) { /* the next picture gets a new one */
        reader_stop(reader->process);
        reader->process = NULL;
    } else {
        struct wire_reader said = {buffer_text(&answer), answer.size_bytes, false};
        status = take_image(reader, source, &said, image);
    }
    buffer_free(&question);
    buffer_free(&answer);
    return status;
}

filtags_status picture_reader_decode(struct picture_reader *reader, const struct image_source *source,
                                     struct image *image) {
    if (source->n_bytes > IMAGE_MAX_FILE_BYTES) {
        return error_set(FILTAGS_ERROR_UNSUPPORTED, "%s: at most %zu bytes expected, found %zu", source->path,
                         IMAGE_MAX_FILE_BYTES, source->n_bytes);
    }
    filtags_status status = decode(reader, source, image);
    give_back(reader, 0, source->n_bytes);
    give_back(reader, IMAGE_MAX_FILE_BYTES, image->width * image->height * image->channels);
    /* "could not start" is the fault of no picture */
    return status == FILTAGS_ERROR_IO ? FILTAGS_ERROR_INTERNAL : status;
}
