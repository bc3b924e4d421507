/*
 * Plaintext is copied once, into a segment of chunks that leave room for their tags; there it is encrypted in place by
 * a job of the pool. Segments are a ring, and leave in its order by the thread that writes.
 *
 * Whether a chunk is the final one is part of what authenticates it, so the last one is held back until something
 * follows it, or finish says that it is the end.
 */
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "codecs/age/armor.h"
#include "codecs/age/stanza.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"

enum {
        SEGMENT_CHUNKS = 16,
        SEALED_SIZE = AGE_CHUNK_SIZE + AGE_TAG_SIZE,
        SEGMENT_BYTES = SEGMENT_CHUNKS * AGE_CHUNK_SIZE,
};

enum age_writer_state {
        AGE_FRESH,    /* nothing has left yet */
        AGE_OPEN,     /* the header is out */
        AGE_COMPLETE, /* only what was reserved may come */
        AGE_ENDED,    /* finished, aborted or broken: nothing more leaves */
};

struct segment {
        struct pool_job job; /* first: what the pool sees */
        const uint8_t *key;
        uint8_t *bytes;
        size_t size; /* of plaintext */
        uint64_t counter;
        bool final; /* the last chunk is the payload's last */
        bool sealed;
};

struct age_writer {
        struct stage stage;
        enum age_writer_state state;
        struct pool *pool;
        bool always_more;
        struct age_header header;
        uint8_t nonce[AGE_NONCE_SIZE];
        uint8_t *payload_key; /* secret memory */
        uint64_t chunks;      /* in segments that were submitted */
        uint64_t announced;   /* plaintext that still comes after complete */

        struct segment *ring;
        size_t ring_size;
        size_t filling;   /* the segment that takes plaintext */
        size_t submitted; /* how many before it are the pool's, oldest first */
};

static struct segment *filling(struct age_writer *writer)
{
        return &writer->ring[writer->filling];
}

/* ---- segments ---- */

static uint64_t sealed_size(uint64_t size)
{
        return size + (size + AGE_CHUNK_SIZE - 1) / AGE_CHUNK_SIZE * AGE_TAG_SIZE;
}

static void seal_segment(struct pool_job *job)
{
        struct segment *segment = (struct segment *)job;
        size_t left = segment->size;
        uint8_t *chunk = segment->bytes;

        segment->sealed = true;
        for (uint64_t counter = segment->counter;; counter++) {
                size_t size = left < AGE_CHUNK_SIZE ? left : AGE_CHUNK_SIZE;

                left -= size;
                if (!age_chunk_seal(chunk, size, counter, segment->final && left == 0, segment->key))
                        segment->sealed = false;
                if (left == 0)
                        break;
                chunk += SEALED_SIZE;
        }
}

/* Writes the oldest segment that was submitted, when it is sealed. */
static int send_oldest(struct age_writer *writer, struct error *err)
{
        size_t oldest = (writer->filling + writer->ring_size - writer->submitted) % writer->ring_size;
        struct segment *segment = &writer->ring[oldest];
        size_t sealed = segment->size > 0 ? (size_t)sealed_size(segment->size) : AGE_TAG_SIZE;

        pool_wait(writer->pool, &segment->job);
        writer->submitted--;
        segment->size = 0;
        if (!segment->sealed)
                return error_raise(err, ERR_FAILED, "libcrypto cannot encrypt");
        return stage_write(writer->stage.next, segment->bytes, sealed, err);
}

static int send_all(struct age_writer *writer, struct error *err)
{
        while (writer->submitted > 0)
                if (send_oldest(writer, err) < 0)
                        return -1;
        return 0;
}

/* Gives the segment that was filled to the pool, and goes on to the next one, which is empty. */
static int submit(struct age_writer *writer, bool final, struct error *err)
{
        struct segment *segment = filling(writer);

        if (writer->chunks > UINT64_MAX - SEGMENT_CHUNKS)
                return error_raise(err, ERR_FAILED, "the payload of an age file is too long");
        segment->job.run = seal_segment;
        segment->key = writer->payload_key;
        segment->counter = writer->chunks;
        segment->final = final;
        writer->chunks += (segment->size + AGE_CHUNK_SIZE - 1) / AGE_CHUNK_SIZE;
        pool_submit(writer->pool, &segment->job);
        writer->submitted++;
        writer->filling = (writer->filling + 1) % writer->ring_size;
        return writer->submitted == writer->ring_size ? send_oldest(writer, err) : 0;
}

static size_t chunk_place(size_t plain)
{
        return plain / AGE_CHUNK_SIZE * SEALED_SIZE + plain % AGE_CHUNK_SIZE;
}

/* A full segment stays until more comes: its last chunk may be the final one. */
static int take(struct age_writer *writer, const uint8_t *bytes, size_t size, struct error *err)
{
        while (size > 0) {
                struct segment *segment = filling(writer);
                size_t piece;

                if (segment->size == SEGMENT_BYTES) {
                        if (submit(writer, /* final= */ false, err) < 0)
                                return -1;
                        continue;
                }
                piece = AGE_CHUNK_SIZE - segment->size % AGE_CHUNK_SIZE;
                if (piece > size)
                        piece = size;
                memcpy(segment->bytes + chunk_place(segment->size), bytes, piece);
                segment->size += piece;
                bytes += piece;
                size -= piece;
        }
        return 0;
}

/* Lets the whole chunks go, but for one that may have to be the final one. */
static int push_out(struct age_writer *writer, struct error *err)
{
        struct segment *segment = filling(writer);
        size_t rest = segment->size % AGE_CHUNK_SIZE;
        const uint8_t *kept;

        if (rest == 0 && segment->size > 0 && !writer->always_more)
                rest = AGE_CHUNK_SIZE;
        if (segment->size > rest) {
                segment->size -= rest;
                kept = segment->bytes + chunk_place(segment->size);
                /* With a ring of one the segment is sealed and sent here, and the rest moves to its front. */
                if (submit(writer, /* final= */ false, err) < 0)
                        return -1;
                memmove(filling(writer)->bytes, kept, rest);
                filling(writer)->size = rest;
        }
        return send_all(writer, err);
}

/* ---- the stage's calls ---- */

static int settle(struct age_writer *writer, int result)
{
        if (result < 0)
                writer->state = AGE_ENDED;
        return result;
}

static int begin(struct age_writer *writer, struct error *err)
{
        struct iovec iov[] = {
                { .iov_base = writer->header.text, .iov_len = writer->header.size },
                { .iov_base = writer->nonce, .iov_len = sizeof writer->nonce },
        };

        if (writer->state == AGE_ENDED)
                return error_raise(err, ERR_PROTOCOL, "an age file was written after its end");
        if (writer->state != AGE_FRESH)
                return 0;
        writer->state = AGE_OPEN;
        return stage_writev(writer->stage.next, iov, 2, err);
}

static int write_all(struct age_writer *writer, const struct iovec *iov, int count, struct error *err)
{
        if (begin(writer, err) < 0)
                return -1;
        for (int i = 0; i < count; i++)
                if (take(writer, iov[i].iov_base, iov[i].iov_len, err) < 0)
                        return -1;
        while (writer->submitted > 0) {
                size_t oldest = (writer->filling + writer->ring_size - writer->submitted) % writer->ring_size;

                if (!pool_is_done(writer->pool, &writer->ring[oldest].job))
                        break;
                if (send_oldest(writer, err) < 0)
                        return -1;
        }
        return 0;
}

static int age_writer_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        return settle(writer, write_all(writer, iov, count, err));
}

static int age_writer_flush(struct stage *stage, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        if (settle(writer, begin(writer, err)) < 0 || settle(writer, push_out(writer, err)) < 0)
                return -1;
        return settle(writer, stage_flush(stage->next, err));
}

static int age_writer_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        (void)err;
        ((struct age_writer *)stage)->announced = bytes;
        return 0;
}

static int complete(struct age_writer *writer, struct error *err)
{
        uint64_t rest;

        if (begin(writer, err) < 0 || push_out(writer, err) < 0)
                return -1;
        rest = filling(writer)->size + writer->announced;
        if (stage_reserve(writer->stage.next, sealed_size(rest) + AGE_TAG_SIZE, err) < 0 ||
            stage_complete(writer->stage.next, err) < 0)
                return -1;
        writer->state = AGE_COMPLETE;
        return 0;
}

static int age_writer_complete(struct stage *stage, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        return settle(writer, complete(writer, err));
}

static int finish(struct age_writer *writer, struct error *err)
{
        if (writer->state != AGE_COMPLETE && complete(writer, err) < 0)
                return -1;
        if (filling(writer)->size == 0 && writer->chunks > 0)
                return error_raise(err, ERR_PROTOCOL, "nothing followed the last flush of what an age file encrypts");
        if (submit(writer, /* final= */ true, err) < 0)
                return -1;
        return send_all(writer, err);
}

static int age_writer_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        if (settle(writer, finish(writer, err)) < 0)
                return -1;
        writer->state = AGE_ENDED;
        return stage_finish(stage->next, report_json, err);
}

static void retire(struct age_writer *writer)
{
        for (; writer->submitted > 0; writer->submitted--) {
                size_t oldest = (writer->filling + writer->ring_size - writer->submitted) % writer->ring_size;

                pool_wait(writer->pool, &writer->ring[oldest].job);
        }
}

/* Without a final chunk no reader takes the file, so nothing has to be written. */
static void age_writer_abort(struct stage *stage, const char *reason)
{
        struct age_writer *writer = (struct age_writer *)stage;

        retire(writer);
        writer->state = AGE_ENDED;
        stage_abort(stage->next, reason);
}

static void age_writer_free(struct stage *stage)
{
        struct age_writer *writer = (struct age_writer *)stage;

        retire(writer);
        for (size_t i = 0; writer->ring && i < writer->ring_size; i++)
                free(writer->ring[i].bytes);
        free(writer->ring);
        age_header_deinit(&writer->header);
        secret_freep(&writer->payload_key);
        free(writer);
}

static const struct stage_ops age_writer_ops = {
        .name = "age",
        .writev = age_writer_writev,
        .flush = age_writer_flush,
        .reserve = age_writer_reserve,
        .complete = age_writer_complete,
        .finish = age_writer_finish,
        .abort = age_writer_abort,
        .free = age_writer_free,
};

/* ---- making ---- */

static int wrap_file_key(struct age_header *header, const struct age_options *options, const uint8_t *file_key,
                         struct error *err)
{
        const struct age_recipients *recipients = options->recipients;

        if (recipients->passphrase)
                return age_stanza_wrap_scrypt(header, recipients->passphrase,
                                              options->scrypt_work_factor ? options->scrypt_work_factor
                                                                          : AGE_SCRYPT_WORK_FACTOR,
                                              file_key, err);
        if (recipients->count == 0)
                return error_raise(err, ERR_USAGE, "to encrypt, a recipient or a passphrase is needed");
        for (size_t i = 0; i < recipients->count; i++)
                if (age_stanza_wrap_x25519(header, recipients->keys[i].key, file_key, err) < 0)
                        return -1;
        return 0;
}

static int prepare_keys(struct age_writer *writer, const struct age_options *options, struct error *err)
{
        CLEANUP(secret_freep) uint8_t *file_key = secret_new(AGE_FILE_KEY_SIZE);

        writer->payload_key = secret_new(AGE_KEY_SIZE);
        if (!file_key || !writer->payload_key)
                return error_no_memory(err);
        randombytes_buf(file_key, AGE_FILE_KEY_SIZE);
        randombytes_buf(writer->nonce, sizeof writer->nonce);
        age_payload_key(writer->payload_key, file_key, writer->nonce);
        if (wrap_file_key(&writer->header, options, file_key, err) < 0)
                return -1;
        return age_header_end(&writer->header, file_key, err);
}

static int prepare_ring(struct age_writer *writer, struct error *err)
{
        writer->ring_size = pool_ahead(writer->pool);
        writer->ring = calloc(writer->ring_size, sizeof *writer->ring);
        if (!writer->ring)
                return error_no_memory(err);
        for (size_t i = 0; i < writer->ring_size; i++) {
                writer->ring[i].bytes = malloc((size_t)SEGMENT_CHUNKS * SEALED_SIZE);
                if (!writer->ring[i].bytes)
                        return error_no_memory(err);
        }
        return 0;
}

int age_writer_new(const struct age_options *options, struct stage *next, struct stage **ret_stage, struct error *err)
{
        CLEANUP(stage_freep) struct stage *stage = NULL;
        struct age_writer *writer = calloc(1, sizeof *writer);

        if (!writer) {
                stage_free(next);
                return error_no_memory(err);
        }
        writer->stage = (struct stage){ .ops = &age_writer_ops, .next = next };
        writer->pool = options->pool;
        writer->always_more = options->always_more;
        stage = &writer->stage;
        if (options->armor && age_armor_stage_new(take_ptr(&writer->stage.next), &writer->stage.next, err) < 0)
                return -1;
        if (prepare_keys(writer, options, err) < 0 || prepare_ring(writer, err) < 0)
                return -1;
        *ret_stage = take_ptr(&stage);
        return 0;
}
