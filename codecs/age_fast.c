#include "codecs/age_fast.h"

#ifdef AGE_LIBCRYPTO

#include <pthread.h>
#include <sodium.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "codecs/age_crypto.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *cipher; /* NULL: libcrypto has none, as where it was built so */

/* No configuration file of libcrypto's and no variable of the environment has a say in this. */
static void set_up(void)
{
        if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL))
                cipher = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
}

/* NULL when it cannot be had. Freeing it wipes the key. */
static EVP_CIPHER_CTX *begin(const uint8_t *nonce, const uint8_t *key, bool seal)
{
        EVP_CIPHER_CTX *context;

        pthread_once(&once, set_up);
        if (!cipher)
                return NULL;
        context = EVP_CIPHER_CTX_new();
        if (context && EVP_CipherInit_ex2(context, cipher, key, nonce, seal, NULL) == 1)
                return context;
        EVP_CIPHER_CTX_free(context);
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
        sealed = EVP_EncryptUpdate(context, chunk, &length, chunk, (int)size) == 1 && (size_t)length == size &&
                 EVP_EncryptFinal_ex(context, chunk + size, &rest) == 1 && rest == 0 &&
                 EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_SIZE, chunk + size) == 1;
        EVP_CIPHER_CTX_free(context);
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
        authentic = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, AGE_TAG_SIZE, chunk + size) == 1 &&
                    EVP_DecryptUpdate(context, chunk, &length, chunk, (int)size) == 1 && (size_t)length == size &&
                    EVP_DecryptFinal_ex(context, chunk + size, &rest) == 1 && rest == 0;
        EVP_CIPHER_CTX_free(context);
        /* What it decrypted before it saw the tag is nobody's to see. */
        if (!authentic)
                sodium_memzero(chunk, size);
        return authentic ? AGE_FAST_OK : AGE_FAST_FAILED;
}

const char *age_fast_version(void)
{
        pthread_once(&once, set_up);
        return cipher ? OpenSSL_version(OPENSSL_VERSION_STRING) : NULL;
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
