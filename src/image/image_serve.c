#include "image/image_serve.h"

#include <string.h>

#include "base/error.h"
#include "base/wire.h"

/* The message, without the name that stands for the file in here: the library knows the right one. */
static const char *message_after(const char *name) {
    const char *message = filtags_error_message();
    size_t n = strlen(name);
    return strncmp(message, name, n) == 0 && strncmp(message + n, ": ", 2) == 0 ? message + n + 2 : message;
}

bool image_serve(uint8_t *room, const void *question, size_t n_bytes, struct buffer *answer) {
    struct wire_reader reader = {question, n_bytes, false};
    size_t n_file_bytes = wire_number_to(&reader, IMAGE_MAX_FILE_BYTES);
    struct image_source source = {"picture", room, n_file_bytes};
    struct image image = {0};
    filtags_status status = wire_is_at_end(&reader)
                                ? image_decode(&source, &image)
                                : error_set(FILTAGS_ERROR_INTERNAL, "the reader has got a malformed question");
    wire_put_number(answer, status);
    if (status) {
        wire_put_text(answer, message_after(source.path));
    } else {
        wire_put_number(answer, image.width);
        wire_put_number(answer, image.height);
        wire_put_number(answer, image.channels);
        memcpy(room + IMAGE_MAX_FILE_BYTES, image.pixels, image.width * image.height * image.channels);
    }
    image_free(&image);
    return !answer->has_failed;
}
