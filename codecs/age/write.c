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
#include "codecs/age/segment.h"
#include "codecs/age/stanza.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"

enum age_writer_state {
        AGE_FRESH,    /* nothing has left yet */
        AGE_OPEN,     /* the header is out */
        AGE_COMPLETE, /* only what was reserved may come */
        AGE_ENDED,    /* finished, aborted or broken: nothing more leaves */
};

struct age_writer {
        struct stage stage;
        enum age_writer_state state;
        bool always_more;
        struct age_header header;
        uint8_t nonce[AGE_NONCE_SIZE];
        uint8_t *payload_key; /* secret memory */
        uint64_t chunks;      /* in segments that were submitted */
        uint64_t announced;   /* plaintext that still comes after complete */

        struct pool_ring ring; /* of struct age_segment; the next one takes plaintext */
};

static struct age_segment *age_writer_filling(const struct age_writer *writer)
{
        return pool_ring_place(&writer->ring, writer->ring.submitted);
}

/* ---- segments ---- */

static uint64_t sealed_size(uint64_t size)
{
        return size + (size + AGE_CHUNK_SIZE - 1) / AGE_CHUNK_SIZE * AGE_TAG_SIZE;
}

static void seal_segment(struct pool_job *job)
{
        struct age_segment *segment = (struct age_segment *)job;
        size_t left = segment->size;
        uint8_t *chunk = segment->bytes;

        segment->fault = SEGMENT_OK;
        for (uint64_t counter = segment->counter;; counter++) {
                size_t size = left < AGE_CHUNK_SIZE ? left : AGE_CHUNK_SIZE;

                left -= size;
                if (!age_chunk_seal(chunk, size, counter, segment->final && left == 0, segment->key))
                        segment->fault = SEGMENT_UNSEALED;
                if (left == 0)
                        break;
                chunk += SEALED_SIZE;
        }
}

/* Writes the oldest segment that was submitted, when it is sealed. */
static int send_oldest(struct age_writer *writer, struct error *err)
{
        struct age_segment *segment = pool_ring_oldest(&writer->ring);
        size_t sealed = segment->size > 0 ? (size_t)sealed_size(segment->size) : AGE_TAG_SIZE;

        segment->size = 0;
        pool_ring_release(&writer->ring);
        if (segment->fault != SEGMENT_OK)
                return error_raise(err, ERR_FAILED, "libcrypto cannot encrypt");
        return stage_write(writer->stage.next, segment->bytes, sealed, err);
}

static int send_all(struct age_writer *writer, struct error *err)
{
        while (writer->ring.submitted > 0)
                if (send_oldest(writer, err) < 0)
                        return -1;
        return 0;
}

/* Gives the segment that was filled to the pool, and goes on to the next one, which is empty. */
static int submit_segment(struct age_writer *writer, bool final, struct error *err)
{
        struct age_segment *segment = age_writer_filling(writer);

        if (writer->chunks > UINT64_MAX - SEGMENT_CHUNKS)
                return error_raise(err, ERR_FAILED, "the payload of an age file is too long");
        segment->counter = writer->chunks;
        segment->final = final;
        writer->chunks += (segment->size + AGE_CHUNK_SIZE - 1) / AGE_CHUNK_SIZE;
        pool_ring_submit(&writer->ring);
        return pool_ring_is_full(&writer->ring) ? send_oldest(writer, err) : 0;
}

static size_t chunk_place(size_t plain)
{
        return plain / AGE_CHUNK_SIZE * SEALED_SIZE + plain % AGE_CHUNK_SIZE;
}

/* A full segment stays until more comes: its last chunk may be the final one. */
static int age_writer_take(struct age_writer *writer, const uint8_t *bytes, size_t size, struct error *err)
{
        while (size > 0) {
                struct age_segment *segment = age_writer_filling(writer);
                size_t piece;

                if (segment->size == SEGMENT_PLAIN) {
                        if (submit_segment(writer, /* final= */ false, err) < 0)
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
static int push_chunks(struct age_writer *writer, struct error *err)
{
        struct age_segment *segment = age_writer_filling(writer);
        size_t rest = segment->size % AGE_CHUNK_SIZE;
        const uint8_t *kept;

        if (rest == 0 && segment->size > 0 && !writer->always_more)
                rest = AGE_CHUNK_SIZE;
        if (segment->size > rest) {
                segment->size -= rest;
                kept = segment->bytes + chunk_place(segment->size);
                /* With a ring of one the segment is sealed and sent here, and the rest moves to its front. */
                if (submit_segment(writer, /* final= */ false, err) < 0)
                        return -1;
                memmove(age_writer_filling(writer)->bytes, kept, rest);
                age_writer_filling(writer)->size = rest;
        }
        return send_all(writer, err);
}

/* ---- the stage's calls ---- */

static int age_writer_settle(struct age_writer *writer, int result)
{
        if (result < 0)
                writer->state = AGE_ENDED;
        return result;
}

static int age_writer_begin(struct age_writer *writer, struct error *err)
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
        if (age_writer_begin(writer, err) < 0)
                return -1;
        for (int i = 0; i < count; i++)
                if (age_writer_take(writer, iov[i].iov_base, iov[i].iov_len, err) < 0)
                        return -1;
        while (pool_ring_is_done(&writer->ring))
                if (send_oldest(writer, err) < 0)
                        return -1;
        return 0;
}

static int age_writer_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        return age_writer_settle(writer, write_all(writer, iov, count, err));
}

static int age_writer_flush(struct stage *stage, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        if (age_writer_settle(writer, age_writer_begin(writer, err) < 0 ? -1 : push_chunks(writer, err)) < 0)
                return -1;
        return age_writer_settle(writer, stage_flush(stage->next, err));
}

static int age_writer_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        (void)err;
        ((struct age_writer *)stage)->announced = bytes;
        return 0;
}

static int complete_payload(struct age_writer *writer, struct error *err)
{
        uint64_t rest;

        if (age_writer_begin(writer, err) < 0 || push_chunks(writer, err) < 0)
                return -1;
        rest = age_writer_filling(writer)->size + writer->announced;
        if (stage_reserve(writer->stage.next, sealed_size(rest) + AGE_TAG_SIZE, err) < 0 ||
            stage_complete(writer->stage.next, err) < 0)
                return -1;
        writer->state = AGE_COMPLETE;
        return 0;
}

static int age_writer_complete(struct stage *stage, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        return age_writer_settle(writer, complete_payload(writer, err));
}

static int finish_payload(struct age_writer *writer, struct error *err)
{
        if (writer->state != AGE_COMPLETE && complete_payload(writer, err) < 0)
                return -1;
        if (age_writer_filling(writer)->size == 0 && writer->chunks > 0)
                return error_raise(err, ERR_PROTOCOL, "nothing followed the last flush of what an age file encrypts");
        if (submit_segment(writer, /* final= */ true, err) < 0)
                return -1;
        return send_all(writer, err);
}

static int age_writer_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct age_writer *writer = (struct age_writer *)stage;

        if (age_writer_settle(writer, finish_payload(writer, err)) < 0)
                return -1;
        writer->state = AGE_ENDED;
        return stage_finish(stage->next, report_json, err);
}

/* Without a final chunk no reader takes the file, so nothing has to be written. */
static void age_writer_abort(struct stage *stage, const char *reason)
{
        struct age_writer *writer = (struct age_writer *)stage;

        pool_ring_drop(&writer->ring);
        writer->state = AGE_ENDED;
        stage_abort(stage->next, reason);
}

static void age_writer_free(struct stage *stage)
{
        struct age_writer *writer = (struct age_writer *)stage;

        age_segments_deinit(&writer->ring);
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

int age_writer_new(const struct age_options *options, struct stage *next, struct stage **ret_stage, struct error *err)
{
        struct age_writer *writer = stage_make(sizeof *writer, &age_writer_ops, next, err);
        CLEANUP(stage_freep) struct stage *stage = (struct stage *)writer;

        if (!writer)
                return -1;
        writer->always_more = options->always_more;
        if (options->armor && age_armor_stage_new(take_ptr(&writer->stage.next), &writer->stage.next, err) < 0)
                return -1;
        if (prepare_keys(writer, options, err) < 0 ||
            age_segments_init(&writer->ring, options->pool, pool_ahead(options->pool), writer->payload_key,
                              seal_segment, err) < 0)
                return -1;
        *ret_stage = take_ptr(&stage);
        return 0;
}
