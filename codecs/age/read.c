/*
 * Ciphertext is read into a segment of chunks, and decrypted there by a job of the pool, ahead of what is handed out.
 * Whether a chunk is the final one is known when the input ends, so each segment is read with one byte of the next.
 * Input is waited for only when nothing else can be handed out.
 */
#include <stdlib.h>
#include <string.h>

#include "codecs/age/armor.h"
#include "codecs/age/segment.h"
#include "codecs/age/stanza.h"
#include "codecs/base/intake.h"
#include "codecs/base/secret.h"
#include "codecs/ends/ends.h"
#include "core/base/cleanup.h"

struct age_source {
        struct source source;
        struct intake intake;
        struct pool *pool;
        uint8_t *payload_key;  /* secret memory */
        struct pool_ring ring; /* of struct age_segment; the oldest one is handed out */

        uint64_t payload; /* where the first chunk stands in the input */
        uint64_t chunks;  /* in segments that were submitted */
        uint8_t *carried; /* the beginning of the next segment: at most a chunk */
        size_t carried_size;
        bool input_ended;
        bool input_failed; /* with this error, behind what was read before */
        struct error failure;
};

/* ---- chunks ---- */

static enum segment_fault open_sealed(const struct age_segment *segment, uint8_t *chunk, size_t sealed,
                                      uint64_t counter, bool final)
{
        size_t size = sealed - AGE_TAG_SIZE;

        /* An empty chunk is allowed only where it is all there is. */
        if (sealed < AGE_TAG_SIZE || (size == 0 && counter > 0))
                return SEGMENT_FORGED;
        /* Of the last one the likely cause is worth a look. */
        if (final && !age_chunk_is_authentic(chunk, size, counter, true, segment->key) &&
            age_chunk_is_authentic(chunk, size, counter, false, segment->key))
                return SEGMENT_CUT;
        return age_chunk_open(chunk, size, counter, final, segment->key) ? SEGMENT_OK : SEGMENT_FORGED;
}

static void open_segment(struct pool_job *job)
{
        struct age_segment *segment = (struct age_segment *)job;
        size_t left = segment->size;
        uint8_t *chunk = segment->bytes;

        segment->opened = 0;
        segment->fault = left > 0 ? SEGMENT_OK : SEGMENT_CUT;
        for (uint64_t counter = segment->counter; left > 0; counter++) {
                size_t sealed = left < SEALED_SIZE ? left : SEALED_SIZE;
                bool final = segment->final && left == sealed;

                segment->fault = open_sealed(segment, chunk, sealed, counter, final);
                if (segment->fault != SEGMENT_OK)
                        return;
                segment->opened += sealed - AGE_TAG_SIZE;
                left -= sealed;
                chunk += SEALED_SIZE;
        }
}

static int raise_fault(const struct age_source *age, const struct age_segment *segment, struct error *err)
{
        static const char *const words[] = {
                [SEGMENT_FORGED] = "it was changed or cut off, since what stands there is not authentic",
                [SEGMENT_CUT] = "it was cut off, since its final part is missing",
        };
        unsigned long long chunk = segment->counter + segment->opened / AGE_CHUNK_SIZE;

        return error_raise(err, ERR_DAMAGED, "%s is damaged in the %d bytes from byte %llu on: %s", age->source.label,
                           SEALED_SIZE, age->payload + chunk * SEALED_SIZE, words[segment->fault]);
}

/* ---- segments ---- */

/* How many of `have` bytes can be given to the pool: whole chunks behind which there is more, or all at the end. */
static size_t whole_chunks(const struct age_source *age, size_t have)
{
        if (age->input_ended)
                return have;
        return (have - 1) / SEALED_SIZE * SEALED_SIZE;
}

/* Reads the next segment: at least a chunk and one byte, which may be waited for, and as much more as is there. What is
 * not used is carried to the next one. Returns 0, or -1 with the failure kept. */
static int fill_segment(struct age_source *age, struct age_segment *segment)
{
        size_t have = age->carried_size;

        memcpy(segment->bytes, age->carried, have);
        while (have <= SEGMENT_SEALED && (have <= SEALED_SIZE || intake_ready(&age->intake))) {
                ssize_t n = intake_some(&age->intake, segment->bytes + have, SEGMENT_SEALED + 1 - have, &age->failure);

                if (n < 0) {
                        age->input_failed = true;
                        return -1;
                }
                if (n == 0) {
                        age->input_ended = true;
                        break;
                }
                have += (size_t)n;
        }
        segment->size = whole_chunks(age, have);
        age->carried_size = have - segment->size;
        memcpy(age->carried, segment->bytes + segment->size, age->carried_size);
        return 0;
}

static void open_next_segment(struct age_source *age, struct age_segment *segment)
{
        segment->counter = age->chunks;
        segment->final = age->input_ended;
        segment->handed = 0;
        age->chunks += segment->size / SEALED_SIZE;
        pool_ring_submit(&age->ring);
}

/* Keeps the pool at work on as much as there is room for; waits for input only when there is nothing else. */
static void read_segments_ahead(struct age_source *age)
{
        while (!pool_ring_is_full(&age->ring) && !age->input_ended && !age->input_failed &&
               (age->ring.submitted == 0 || intake_ready(&age->intake))) {
                struct age_segment *segment = pool_ring_place(&age->ring, age->ring.submitted);

                if (fill_segment(age, segment) == 0)
                        open_next_segment(age, segment);
        }
}

/* How many streams share the pool is known when all were opened, and what is inside each was looked at by then. */
static int adapt_ring(struct age_source *age, struct error *err)
{
        unsigned ahead = pool_ahead(age->pool);

        if (age->ring.submitted > 0 || age->chunks == 0 || age->ring.count == ahead)
                return 0;
        age_segments_deinit(&age->ring);
        return age_segments_init(&age->ring, age->pool, ahead, age->payload_key, open_segment, err);
}

static size_t hand_out_plain(struct age_segment *segment, uint8_t *buffer, size_t size)
{
        size_t done = 0;

        while (done < size && segment->handed < segment->opened) {
                size_t inside = segment->handed % AGE_CHUNK_SIZE;
                size_t piece = AGE_CHUNK_SIZE - inside;

                if (piece > segment->opened - segment->handed)
                        piece = segment->opened - segment->handed;
                if (piece > size - done)
                        piece = size - done;
                memcpy(buffer + done, segment->bytes + segment->handed / AGE_CHUNK_SIZE * SEALED_SIZE + inside, piece);
                segment->handed += piece;
                done += piece;
        }
        return done;
}

static ssize_t age_source_read(struct source *source, void *buffer, size_t size, struct error *err)
{
        struct age_source *age = (struct age_source *)source;

        for (;;) {
                struct age_segment *segment;
                size_t done;

                if (adapt_ring(age, err) < 0)
                        return -1;
                if (!age->ring.waited)
                        read_segments_ahead(age);
                if (age->ring.submitted == 0) {
                        if (age->input_failed)
                                error_keep_first(err, &age->failure);
                        return age->input_failed ? -1 : 0;
                }
                segment = pool_ring_oldest(&age->ring);
                done = hand_out_plain(segment, buffer, size);
                if (done > 0)
                        return (ssize_t)done;
                if (segment->fault != SEGMENT_OK)
                        return raise_fault(age, segment, err);
                pool_ring_release(&age->ring);
        }
}

static bool age_source_ready(struct source *source)
{
        const struct age_source *age = (const struct age_source *)source;

        return age->ring.submitted > 0 || age->input_ended || age->input_failed || intake_ready(&age->intake);
}

static void age_source_free(struct source *source)
{
        struct age_source *age = (struct age_source *)source;

        age_segments_deinit(&age->ring);
        free(age->carried);
        intake_deinit(&age->intake);
        secret_freep(&age->payload_key);
        free(age);
}

static const struct source_ops age_source_ops = {
        .name = "age",
        .read = age_source_read,
        .ready = age_source_ready,
        .free = age_source_free,
};

/* ---- the header ---- */

/* Nothing that was given opens the file: says for whom it is and what would help. */
static int raise_no_key(const char *label, const struct age_addressees *addressees,
                        const struct age_identities *identities, struct error *err)
{
        bool tried = identities && (addressees->work_factor ? identities->passphrase != NULL : identities->count > 0);
        size_t recipients = addressees->x25519 + addressees->other;
        const char *advice = tried ? ", and no identity given fits" : "; --identity FILE gives the key";

        if (addressees->work_factor)
                return error_raise(err, ERR_KEY,
                                   tried ? "%s is encrypted with a passphrase, and the one given is wrong"
                                         : "%s is encrypted with a passphrase; --passphrase-file FILE gives it",
                                   label);
        if (addressees->x25519 == 0)
                advice = " of a kind that is not supported, such as an SSH key or a plugin's; pipe it through "
                         "`age -d -i KEYFILE`";
        return error_raise(err, ERR_KEY, "%s is encrypted for %zu recipient%s%s", label, recipients,
                           recipients == 1 ? "" : "s", advice);
}

static int try_identities(const struct age_source *age, const struct age_header *header,
                          const struct age_addressees *addressees, const struct reader_options *options,
                          uint8_t *file_key, struct error *err)
{
        const char *label = age->source.label;
        uint64_t limit = options->memory_limit ? options->memory_limit : AGE_SCRYPT_MEMORY(AGE_SCRYPT_WORK_FACTOR);
        const struct age_identities *identities = options->identities;
        int opened = 0;

        if (!identities)
                return 0;
        if (addressees->work_factor && identities->passphrase) {
                if (AGE_SCRYPT_MEMORY(addressees->work_factor) > limit)
                        return error_raise(err, ERR_USAGE,
                                           "%s needs %llu bytes of memory to try its passphrase; --memory-limit %lluM "
                                           "allows it",
                                           label, AGE_SCRYPT_MEMORY(addressees->work_factor),
                                           (AGE_SCRYPT_MEMORY(addressees->work_factor) + (1 << 20) - 1) >> 20);
                return age_stanzas_open_scrypt(header, label, addressees->work_factor, identities->passphrase, file_key,
                                               err);
        }
        /* A thousand of each take a minute. */
        for (const struct age_identity *at = identities->first; at && opened == 0; at = at->next)
                opened = intake_look_at_cancel(&age->intake, err) < 0
                                 ? -1
                                 : age_stanzas_open_x25519(header, label, at, file_key, err);
        return opened;
}

/* Of several such layers the outermost is of interest: it is the one that a key is needed for first. */
static void note_addressees(const struct age_addressees *addressees, struct layer_facts *facts)
{
        if (!facts || facts->x25519_recipients + facts->scrypt_recipients + facts->other_recipients > 0)
                return;
        facts->x25519_recipients = addressees->x25519;
        facts->scrypt_recipients = addressees->work_factor ? 1 : 0;
        facts->other_recipients = addressees->other;
}

static int open_header(struct age_source *age, const struct age_header *header, const struct reader_options *options,
                       struct error *err)
{
        CLEANUP(secret_freep) uint8_t *file_key = secret_new(AGE_FILE_KEY_SIZE);
        struct age_addressees addressees;
        uint8_t nonce[AGE_NONCE_SIZE];
        ssize_t n;
        int opened;

        age->payload_key = secret_new(AGE_KEY_SIZE);
        if (!file_key || !age->payload_key)
                return error_no_memory(err);
        if (age_stanzas_check(header, age->source.label, &addressees, err) < 0)
                return -1;
        note_addressees(&addressees, options->facts);
        opened = try_identities(age, header, &addressees, options, file_key, err);
        if (opened < 0)
                return -1;
        if (opened == 0)
                return raise_no_key(age->source.label, &addressees, options->identities, err);
        if (!age_header_is_authentic(header, file_key))
                return error_raise(err, ERR_DAMAGED, "%s is damaged: its age header was changed", age->source.label);
        n = intake_full(&age->intake, nonce, sizeof nonce, err);
        if (n < 0)
                return -1;
        age_payload_key(age->payload_key, file_key, nonce);
        age->payload = age->intake.position;
        age->input_ended = n < (ssize_t)sizeof nonce;
        return age->input_ended ? error_raise(err, ERR_DAMAGED,
                                              "%s ends at byte %llu behind its age header: it was "
                                              "cut off",
                                              age->source.label, (unsigned long long)age->payload)
                                : 0;
}

/* ---- making ---- */

/* Puts what takes the armor off in front, if there is one. */
static int peel_armor(struct age_source *age, const atomic_bool *cancel, struct error *err)
{
        uint8_t first;
        ssize_t n = source_read_full(age->source.next, &first, 1, err);

        if (n < 0 || peek_source_new(take_ptr(&age->source.next), &first, (size_t)n, &age->source.next, err) < 0)
                return -1;
        if (n == 0 || first != AGE_ARMOR_BEGIN[0])
                return 0;
        return age_armor_source_new(take_ptr(&age->source.next), age->source.label, cancel, &age->source.next, err);
}

static int age_source_prepare(struct age_source *age, const struct reader_options *options, struct error *err)
{
        struct age_header header = { 0 };
        int result;

        if (peel_armor(age, options->cancel, err) < 0 ||
            intake_init(&age->intake, age->source.next, age->source.label, options->cancel, err) < 0)
                return -1;
        result = age_header_read(&header, &age->intake, err);
        if (result == 0)
                result = open_header(age, &header, options, err);
        age_header_deinit(&header);
        if (result < 0)
                return -1;
        age->carried = malloc(SEALED_SIZE);
        if (!age->carried)
                return error_no_memory(err);
        return age_segments_init(&age->ring, age->pool, 1, age->payload_key, open_segment, err);
}

int age_source_new(struct source *next, const char *label, const struct reader_options *options,
                   struct source **ret_source, struct error *err)
{
        struct age_source *age = source_make(sizeof *age, &age_source_ops, next, label, err);

        if (!age)
                return -1;
        age->pool = options->pool;
        if (age_source_prepare(age, options, err) < 0) {
                source_free(&age->source);
                return -1;
        }
        *ret_source = &age->source;
        return 0;
}
