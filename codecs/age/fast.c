#include "codecs/age/fast.h"

#ifdef AGE_LIBCRYPTO

#include <dlfcn.h>
#include <pthread.h>
#include <sodium.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "codecs/age/crypto.h"
#include "core/base/symbols.h"

#define STRING_OF(number) #number
#define SONAME_OF(number) "libcrypto.so." STRING_OF(number)

/* What is called, by the names that the library exports. */
#define CRYPTO_FUNCTIONS(X)    \
        X(EVP_CIPHER_CTX_ctrl) \
        X(EVP_CIPHER_CTX_free) \
        X(EVP_CIPHER_CTX_new)  \
        X(EVP_CIPHER_fetch)    \
        X(EVP_CipherFinal_ex)  \
        X(EVP_CipherInit_ex2)  \
        X(EVP_CipherUpdate)    \
        X(OPENSSL_init_crypto) \
        X(OSSL_LIB_CTX_new)    \
        X(OpenSSL_version)

#define CRYPTO_MEMBER(name) __typeof__(name) *(name);
static struct crypto {
        CRYPTO_FUNCTIONS(CRYPTO_MEMBER)
} crypto;

static pthread_once_t crypto_once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *crypto_context;
static EVP_CIPHER *crypto_cipher; /* NULL: no libcrypto, or one that was built without it */

#define CRYPTO_SYMBOL(name) { #name, offsetof(struct crypto, name) },
static const struct symbol crypto_symbols[] = { CRYPTO_FUNCTIONS(CRYPTO_SYMBOL) };

/* No configuration file of libcrypto's and no variable of the environment has a say in this. The library's own default
 * context is not used: where memory is too short to make that, the library crashes. */
static void crypto_open(void)
{
        void *library = dlopen(SONAME_OF(OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);

        if (!library)
                return;
        if (symbols_find(library, crypto_symbols, sizeof crypto_symbols / sizeof crypto_symbols[0], &crypto)) {
                dlclose(library);
                return;
        }
        if (crypto.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
                crypto_context = crypto.OSSL_LIB_CTX_new();
        if (crypto_context)
                crypto_cipher = crypto.EVP_CIPHER_fetch(crypto_context, "ChaCha20-Poly1305", NULL);
}

enum age_fast_result age_fast_chunk(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                    const uint8_t *key, bool seal)
{
        EVP_CIPHER_CTX *context;
        int length = 0, rest = 0;
        bool done;

        pthread_once(&crypto_once, crypto_open);
        context = crypto_cipher ? crypto.EVP_CIPHER_CTX_new() : NULL;
        if (!context || crypto.EVP_CipherInit_ex2(context, crypto_cipher, key, nonce, seal, NULL) != 1) {
                if (context)
                        crypto.EVP_CIPHER_CTX_free(context);
                return AGE_FAST_ABSENT;
        }
        done = (seal || crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AGE_TAG_SIZE, chunk + size) == 1) &&
               crypto.EVP_CipherUpdate(context, chunk, &length, chunk, (int)size) == 1 && (size_t)length == size &&
               crypto.EVP_CipherFinal_ex(context, chunk + size, &rest) == 1 && rest == 0 &&
               (!seal || crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_SIZE, chunk + size) == 1);
        crypto.EVP_CIPHER_CTX_free(context); /* wipes the key */
        /* What it decrypted before it saw the tag is nobody's to see. */
        if (!done && !seal)
                sodium_memzero(chunk, size);
        return done ? AGE_FAST_OK : AGE_FAST_FAILED;
}

const char *age_fast_version(void)
{
        pthread_once(&crypto_once, crypto_open);
        return crypto_cipher ? crypto.OpenSSL_version(OPENSSL_VERSION_STRING) : NULL;
}

#else

enum age_fast_result age_fast_chunk(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                    const uint8_t *key, bool seal)
{
        (void)chunk;
        (void)size;
        (void)nonce;
        (void)key;
        (void)seal;
        return AGE_FAST_ABSENT;
}

const char *age_fast_version(void)
{
        return NULL;
}

#endif
