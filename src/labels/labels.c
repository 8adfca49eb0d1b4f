/* labels.c - data/imagenet_classes.tsv as a table. The build defines FILTAGS_DATA_DIR, the folder data/ of the source
 * tree. */
#include "labels/labels.h"

#include <pthread.h>
#include <string.h>

#include "labels/labels_checksum.h" /* nothing in it: it changes whenever the file does */

/* C can't include files before C23's #embed; the assembler can. Hidden: not for other libraries' eyes. */
__asm__(".pushsection .rodata\n"
        ".hidden labels_imagenet_tsv\n.hidden labels_imagenet_tsv_end\n"
        ".globl labels_imagenet_tsv\nlabels_imagenet_tsv:\n"
        ".incbin \"" FILTAGS_DATA_DIR "/imagenet_classes.tsv\"\n"
        ".globl labels_imagenet_tsv_end\nlabels_imagenet_tsv_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const char labels_imagenet_tsv[], labels_imagenet_tsv_end[];

static char text[32768]; /* a copy of the file, cut into strings */
static struct imagenet_class classes[IMAGENET_N_CLASSES];
static pthread_once_t classes_once = PTHREAD_ONCE_INIT;

/* Lines of index, wnid and label, separated by tabs, in the order of the index. */
static void cut_lines(void) {
    size_t n_bytes = (size_t)(labels_imagenet_tsv_end - labels_imagenet_tsv);
    char *rest = text;
    if (n_bytes >= sizeof text) n_bytes = sizeof text - 1;
    memcpy(text, labels_imagenet_tsv, n_bytes);
    for (size_t i = 0; i < IMAGENET_N_CLASSES; i++) {
        strsep(&rest, "\t");
        classes[i].wnid = rest ? strsep(&rest, "\t") : "";
        classes[i].label = rest ? strsep(&rest, "\n") : "";
    }
}

const struct imagenet_class *imagenet_classes(void) {
    pthread_once(&classes_once, cut_lines);
    return classes;
}
