#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/error.h"

filtags_status hash_file(const char *path, char hex[HASH_HEX_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char block[65536];
    unsigned n_digest = 0;
    size_t n;
    filtags_status status = FILTAGS_OK;
    FILE *file = fopen(path, "rbe");
    if (!file) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", path);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || !EVP_DigestInit_ex(context, EVP_sha256(), NULL)) {
        status = error_set(FILTAGS_ERROR_INTERNAL, "%s: SHA-256 is not available", path);
        goto done;
    }
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        if (!EVP_DigestUpdate(context, block, n)) {
            status = error_set(FILTAGS_ERROR_INTERNAL, "%s: SHA-256 failed", path);
            goto done;
        }
    }
    if (ferror(file)) {
        status = error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", path);
    } else if (!EVP_DigestFinal_ex(context, digest, &n_digest) || n_digest != 32) {
        status = error_set(FILTAGS_ERROR_INTERNAL, "%s: SHA-256 failed", path);
    } else {
        for (unsigned i = 0; i < n_digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    }
done:
    EVP_MD_CTX_free(context);
    fclose(file);
    return status;
}
