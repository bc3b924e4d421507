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
        X(EVP_CipherInit_ex2)  \
        X(EVP_DecryptFinal_ex) \
        X(EVP_DecryptUpdate)   \
        X(EVP_EncryptFinal_ex) \
        X(EVP_EncryptUpdate)   \
        X(OPENSSL_init_crypto) \
        X(OSSL_LIB_CTX_new)    \
        X(OpenSSL_version)

#define CRYPTO_MEMBER(name) __typeof__(name) *(name);
static struct crypto {
        CRYPTO_FUNCTIONS(CRYPTO_MEMBER)
} crypto;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OSSL_LIB_CTX *context_of_all;
static EVP_CIPHER *cipher; /* NULL: no libcrypto, or one that was built without it */

#define CRYPTO_SYMBOL(name) { #name, offsetof(struct crypto, name) },
static const struct symbol symbols[] = { CRYPTO_FUNCTIONS(CRYPTO_SYMBOL) };

/* No configuration file of libcrypto's and no variable of the environment has a say in this. The library's own default
 * context is not used: where memory is too short to make that, the library crashes. */
static void set_up(void)
{
        void *library = dlopen(SONAME_OF(OPENSSL_SHLIB_VERSION), RTLD_NOW | RTLD_LOCAL);

        if (!library)
                return;
        if (symbols_find(library, symbols, sizeof symbols / sizeof symbols[0], &crypto)) {
                dlclose(library);
                return;
        }
        if (crypto.OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
                context_of_all = crypto.OSSL_LIB_CTX_new();
        if (context_of_all)
                cipher = crypto.EVP_CIPHER_fetch(context_of_all, "ChaCha20-Poly1305", NULL);
}

/* NULL when it cannot be had. Freeing it wipes the key. */
static EVP_CIPHER_CTX *begin(const uint8_t *nonce, const uint8_t *key, bool seal)
{
        EVP_CIPHER_CTX *context;

        pthread_once(&once, set_up);
        if (!cipher)
                return NULL;
        context = crypto.EVP_CIPHER_CTX_new();
        if (context && crypto.EVP_CipherInit_ex2(context, cipher, key, nonce, seal, NULL) == 1)
                return context;
        crypto.EVP_CIPHER_CTX_free(context);
        return NULL;
}

enum age_fast_result age_fast_seal(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                   const uint8_t *key)
{
        EVP_CIPHER_CTX *context = begin(nonce, key, /* seal= */ true);
        int length = 0, rest = 0;
        bool sealed;

        if (!context)
                return AGE_FAST_ABSENT;
        sealed = crypto.EVP_EncryptUpdate(context, chunk, &length, chunk, (int)size) == 1 && (size_t)length == size &&
                 crypto.EVP_EncryptFinal_ex(context, chunk + size, &rest) == 1 && rest == 0 &&
                 crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_SIZE, chunk + size) == 1;
        crypto.EVP_CIPHER_CTX_free(context);
        return sealed ? AGE_FAST_OK : AGE_FAST_FAILED;
}

enum age_fast_result age_fast_open(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                   const uint8_t *key)
{
        EVP_CIPHER_CTX *context = begin(nonce, key, /* seal= */ false);
        int length = 0, rest = 0;
        bool authentic;

        if (!context)
                return AGE_FAST_ABSENT;
        authentic = crypto.EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AGE_TAG_SIZE, chunk + size) == 1 &&
                    crypto.EVP_DecryptUpdate(context, chunk, &length, chunk, (int)size) == 1 &&
                    (size_t)length == size && crypto.EVP_DecryptFinal_ex(context, chunk + size, &rest) == 1 &&
                    rest == 0;
        crypto.EVP_CIPHER_CTX_free(context);
        /* What it decrypted before it saw the tag is nobody's to see. */
        if (!authentic)
                sodium_memzero(chunk, size);
        return authentic ? AGE_FAST_OK : AGE_FAST_FAILED;
}

const char *age_fast_version(void)
{
        pthread_once(&once, set_up);
        return cipher ? crypto.OpenSSL_version(OPENSSL_VERSION_STRING) : NULL;
}

#else

enum age_fast_result age_fast_seal(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                   const uint8_t *key)
{
        (void)chunk;
        (void)size;
        (void)nonce;
        (void)key;
        return AGE_FAST_ABSENT;
}

enum age_fast_result age_fast_open(uint8_t *chunk, size_t size, const uint8_t nonce[AGE_FAST_NONCE_SIZE],
                                   const uint8_t *key)
{
        return age_fast_seal(chunk, size, nonce, key);
}

const char *age_fast_version(void)
{
        return NULL;
}

#endif
