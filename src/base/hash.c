#include "base/hash.h"

#include <openssl/evp.h>
#include <stdio.h>

#include "base/error.h"

static filtags_status hash_stream(FILE *file, const char *path, EVP_MD_CTX *context, const char *name,
                                  char hex[HASH_HEX_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char block[65536];
    unsigned n_digest = 0;
    size_t n;
    while ((n = fread(block, 1, sizeof block, file)) > 0) {
        if (!EVP_DigestUpdate(context, block, n))
            return error_set(FILTAGS_ERROR_INTERNAL, "%s: %s failed", path, name);
    }
    if (ferror(file)) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be read", path);
    if (!EVP_DigestFinal_ex(context, digest, &n_digest) || 2 * n_digest >= HASH_HEX_BYTES)
        return error_set(FILTAGS_ERROR_INTERNAL, "%s: %s failed", path, name);
    for (unsigned i = 0; i < n_digest; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    return FILTAGS_OK;
}

filtags_status hash_file(enum hash_algorithm algorithm, const char *path, char hex[HASH_HEX_BYTES]) {
    const char *name = algorithm == HASH_MD5 ? "MD5" : "SHA-256";
    filtags_status status;
    FILE *file = fopen(path, "rbe");
    if (!file) return error_set_errno(FILTAGS_ERROR_IO, "%s: cannot be opened", path);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || !EVP_DigestInit_ex(context, algorithm == HASH_MD5 ? EVP_md5() : EVP_sha256(), NULL)) {
        status = error_set(FILTAGS_ERROR_INTERNAL, "%s: %s is not available", path, name);
    } else {
        status = hash_stream(file, path, context, name, hex);
    }
    EVP_MD_CTX_free(context);
    fclose(file);
    return status;
}

void base64_append(struct buffer *to, const void *bytes, size_t n_bytes) {
    enum { BLOCK_BYTES = 3 << 10 }; /* a multiple of 3: only the last block is padded */
    unsigned char text[BLOCK_BYTES / 3 * 4 + 1];
    const unsigned char *from = bytes;
    while (n_bytes > 0) {
        size_t n = n_bytes < BLOCK_BYTES ? n_bytes : BLOCK_BYTES;
        int n_text = EVP_EncodeBlock(text, from, (int)n);
        buffer_append(to, text, (size_t)n_text);
        from += n;
        n_bytes -= n;
    }
}

filtags_status hash_bytes(const void *bytes, size_t n_bytes, uint8_t digest[HASH_DIGEST_BYTES]) {
    unsigned n_digest = 0;
    if (EVP_Digest(bytes, n_bytes, digest, &n_digest, EVP_sha256(), NULL) && n_digest == HASH_DIGEST_BYTES)
        return FILTAGS_OK;
    return error_set(FILTAGS_ERROR_INTERNAL, "SHA-256 is not available");
}
