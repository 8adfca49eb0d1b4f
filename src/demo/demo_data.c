/* The build defines FILTAGS_DEMO_DIR, the folder demo/ of the source tree. */
#include "demo/demo_data.h"

#include "demo/demo_checksum.h" /* nothing in it: it changes whenever the files do */

/* C can't include binary files before C23's #embed; the assembler can. Hidden: not for other libraries' eyes. */
#define EMBED(symbol, file)                                          \
    __asm__(".pushsection .rodata\n"                                 \
            ".balign 64\n"                                           \
            ".hidden " #symbol "\n.hidden " #symbol "_end\n"         \
            ".globl " #symbol "\n" #symbol ":\n"                     \
            ".incbin \"" FILTAGS_DEMO_DIR "/" file "\"\n"            \
            ".globl " #symbol "_end\n" #symbol "_end:\n"             \
            ".byte 0\n"                                              \
            ".popsection\n");                                        \
    extern const unsigned char symbol[], symbol##_end[]

EMBED(demo_data_bytes_model, "fashion.keras");
EMBED(demo_data_bytes_images, "images.zip");
EMBED(demo_data_bytes_classes, "classes.txt");
EMBED(demo_data_bytes_license, "LICENSE-fashion-mnist.txt");

static struct demo_file make_file(const char *name, const unsigned char *first, const unsigned char *end) {
    return (struct demo_file){.name = name, .bytes = first, .size_bytes = (size_t)(end - first)};
}

struct demo_file demo_data_model(void) {
    return make_file("fashion.keras", demo_data_bytes_model, demo_data_bytes_model_end);
}

struct demo_file demo_data_images(void) {
    return make_file("images.zip", demo_data_bytes_images, demo_data_bytes_images_end);
}

struct demo_file demo_data_classes(void) {
    return make_file("classes.txt", demo_data_bytes_classes, demo_data_bytes_classes_end);
}

struct demo_file demo_data_license(void) {
    return make_file("LICENSE-fashion-mnist.txt", demo_data_bytes_license, demo_data_bytes_license_end);
}
