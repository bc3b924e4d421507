/*
 * Ciphertext is read into a segment of chunks, and decrypted there by a job of the pool, ahead of what is handed out.
 * Whether a chunk is the final one is known when the input ends, so each segment is read with one byte of the next.
 * Input is waited for only when nothing else can be handed out.
 */
#include <stdlib.h>
#include <string.h>

#include "codecs/age/armor.h"
#include "codecs/age/stanza.h"
#include "codecs/base/intake.h"
#include "codecs/layers.h"
#include "codecs/base/secret.h"
#include "core/base/cleanup.h"

enum {
        SEGMENT_CHUNKS = 16,
        SEALED_SIZE = AGE_CHUNK_SIZE + AGE_TAG_SIZE,
        SEGMENT_BYTES = SEGMENT_CHUNKS * SEALED_SIZE,
};

enum fault {
        FAULT_NONE,
        FAULT_FORGED, /* not authentic */
        FAULT_CUT,    /* authentic as a chunk that others follow, but nothing does */
};

struct segment {
        struct pool_job job; /* first: what the pool sees */
        const uint8_t *key;
        uint8_t *bytes; /* SEGMENT_BYTES, and one byte more */
        size_t size;    /* of ciphertext */
        uint64_t counter;
        bool final;       /* the last chunk is the payload's last */
        enum fault fault; /* of the first chunk that could not be opened */
        size_t opened;    /* plaintext before it */
        size_t handed;    /* of that, how much was handed out */
};

struct age_source {
        struct source source;
        char *label;
        struct intake intake;
        struct pool *pool;
        uint8_t *payload_key; /* secret memory */

        struct segment *ring;
        size_t ring_size;
        size_t oldest;
        size_t submitted; /* from the oldest on */
        bool waited;      /* the oldest has been decrypted */

        uint64_t payload; /* where the first chunk stands in the input */
        uint64_t chunks;  /* in segments that were submitted */
        uint8_t *carried; /* the beginning of the next segment: at most a chunk */
        size_t carried_size;
        bool input_ended;
        bool input_failed; /* with this error, behind what was read before */
        struct error failure;
};

/* ---- chunks ---- */

static enum fault open_chunk(const struct segment *segment, uint8_t *chunk, size_t sealed, uint64_t counter, bool final)
{
        size_t size = sealed - AGE_TAG_SIZE;

        /* An empty chunk is allowed only where it is all there is. */
        if (sealed < AGE_TAG_SIZE || (size == 0 && counter > 0))
                return FAULT_FORGED;
        /* Of the last one the likely cause is worth a look. */
        if (final && !age_chunk_is_authentic(chunk, size, counter, true, segment->key) &&
            age_chunk_is_authentic(chunk, size, counter, false, segment->key))
                return FAULT_CUT;
        return age_chunk_open(chunk, size, counter, final, segment->key) ? FAULT_NONE : FAULT_FORGED;
}

static void open_segment(struct pool_job *job)
{
        struct segment *segment = (struct segment *)job;
        size_t left = segment->size;
        uint8_t *chunk = segment->bytes;

        segment->opened = 0;
        segment->fault = left > 0 ? FAULT_NONE : FAULT_CUT;
        for (uint64_t counter = segment->counter; left > 0; counter++) {
                size_t sealed = left < SEALED_SIZE ? left : SEALED_SIZE;
                bool final = segment->final && left == sealed;

                segment->fault = open_chunk(segment, chunk, sealed, counter, final);
                if (segment->fault != FAULT_NONE)
                        return;
                segment->opened += sealed - AGE_TAG_SIZE;
                left -= sealed;
                chunk += SEALED_SIZE;
        }
}

static int raise_fault(const struct age_source *age, const struct segment *segment, struct error *err)
{
        static const char *const words[] = {
                [FAULT_FORGED] = "it was changed or cut off, since what stands there is not authentic",
                [FAULT_CUT] = "it was cut off, since its final part is missing",
        };
        unsigned long long chunk = segment->counter + segment->opened / AGE_CHUNK_SIZE;

        return error_raise(err, ERR_DAMAGED, "%s is damaged in the %d bytes from byte %llu on: %s", age->label,
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
static int fill_segment(struct age_source *age, struct segment *segment)
{
        size_t have = age->carried_size;

        memcpy(segment->bytes, age->carried, have);
        while (have <= SEGMENT_BYTES && (have <= SEALED_SIZE || intake_ready(&age->intake))) {
                ssize_t n = intake_some(&age->intake, segment->bytes + have, SEGMENT_BYTES + 1 - have, &age->failure);

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

static void submit_segment(struct age_source *age, struct segment *segment)
{
        segment->job.run = open_segment;
        segment->key = age->payload_key;
        segment->counter = age->chunks;
        segment->final = age->input_ended;
        segment->handed = 0;
        age->chunks += segment->size / SEALED_SIZE;
        pool_submit(age->pool, &segment->job);
        age->submitted++;
}

/* Keeps the pool at work on as much as there is room for; waits for input only when there is nothing else. */
static void read_ahead(struct age_source *age)
{
        while (age->submitted < age->ring_size && !age->input_ended && !age->input_failed &&
               (age->submitted == 0 || intake_ready(&age->intake))) {
                struct segment *segment = &age->ring[(age->oldest + age->submitted) % age->ring_size];

                if (fill_segment(age, segment) == 0)
                        submit_segment(age, segment);
        }
}

static void free_ring(struct age_source *age)
{
        for (size_t i = 0; age->ring && i < age->ring_size; i++)
                free(age->ring[i].bytes);
        free(age->ring);
        age->ring = NULL;
}

/* `size` is at least 1. */
static int make_ring(struct age_source *age, size_t size, struct error *err)
{
        size_t i = 0;

        free_ring(age);
        age->oldest = 0;
        age->ring_size = size;
        age->ring = calloc(size, sizeof *age->ring);
        if (!age->ring)
                return error_no_memory(err);
        do {
                age->ring[i].bytes = malloc(SEGMENT_BYTES + 1);
                if (!age->ring[i].bytes)
                        return error_no_memory(err);
        } while (++i < size);
        return 0;
}

/* How many streams share the pool is known when all were opened, and what is inside each was looked at by then. */
static int adapt_ring(struct age_source *age, struct error *err)
{
        unsigned ahead = pool_ahead(age->pool);

        if (age->submitted > 0 || age->chunks == 0 || age->ring_size == ahead)
                return 0;
        return make_ring(age, ahead, err);
}

static void retire_oldest(struct age_source *age)
{
        age->oldest = (age->oldest + 1) % age->ring_size;
        age->submitted--;
        age->waited = false;
}

static size_t hand_out(struct segment *segment, uint8_t *buffer, size_t size)
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
                struct segment *segment;
                size_t done;

                if (adapt_ring(age, err) < 0)
                        return -1;
                if (!age->waited)
                        read_ahead(age);
                segment = &age->ring[age->oldest];
                if (age->submitted == 0) {
                        if (age->input_failed && err)
                                *err = age->failure;
                        return age->input_failed ? -1 : 0;
                }
                if (!age->waited)
                        pool_wait(age->pool, &segment->job);
                age->waited = true;
                done = hand_out(segment, buffer, size);
                if (done > 0)
                        return (ssize_t)done;
                if (segment->fault != FAULT_NONE)
                        return raise_fault(age, segment, err);
                retire_oldest(age);
        }
}

static bool age_source_ready(struct source *source)
{
        const struct age_source *age = (const struct age_source *)source;

        return age->submitted > 0 || age->input_ended || age->input_failed || intake_ready(&age->intake);
}

static void age_source_free(struct source *source)
{
        struct age_source *age = (struct age_source *)source;

        while (age->submitted > 0) {
                if (!age->waited)
                        pool_wait(age->pool, &age->ring[age->oldest].job);
                retire_oldest(age);
        }
        free_ring(age);
        free(age->carried);
        intake_deinit(&age->intake);
        secret_freep(&age->payload_key);
        free(age->label);
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

        if (addressees->work_factor)
                return error_raise(err, ERR_KEY,
                                   tried ? "%s is encrypted with a passphrase, and the one given is wrong"
                                         : "%s is encrypted with a passphrase; --passphrase-file FILE gives it",
                                   label);
        if (addressees->x25519 == 0)
                return error_raise(err, ERR_KEY,
                                   "%s is encrypted for %zu recipient%s of a kind that is not supported, such as an "
                                   "SSH key or a plugin's; pipe it through `age -d -i KEYFILE`",
                                   label, recipients, recipients == 1 ? "" : "s");
        if (tried)
                return error_raise(err, ERR_KEY, "%s is encrypted for %zu recipient%s, and no identity given fits",
                                   label, recipients, recipients == 1 ? "" : "s");
        return error_raise(err, ERR_KEY, "%s is encrypted for %zu recipient%s; --identity FILE gives the key", label,
                           recipients, recipients == 1 ? "" : "s");
}

static int try_identities(const struct age_source *age, const struct age_header *header,
                          const struct age_addressees *addressees, const struct reader_options *options,
                          uint8_t *file_key, struct error *err)
{
        const char *label = age->label;
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
        if (age_stanzas_check(header, age->label, &addressees, err) < 0)
                return -1;
        note_addressees(&addressees, options->facts);
        opened = try_identities(age, header, &addressees, options, file_key, err);
        if (opened < 0)
                return -1;
        if (opened == 0)
                return raise_no_key(age->label, &addressees, options->identities, err);
        if (!age_header_is_authentic(header, file_key))
                return error_raise(err, ERR_DAMAGED, "%s is damaged: its age header was changed", age->label);
        n = intake_full(&age->intake, nonce, sizeof nonce, err);
        if (n < 0)
                return -1;
        age_payload_key(age->payload_key, file_key, nonce);
        age->payload = age->intake.position;
        age->input_ended = n < (ssize_t)sizeof nonce;
        return age->input_ended ? error_raise(err, ERR_DAMAGED,
                                              "%s ends at byte %llu behind its age header: it was "
                                              "cut off",
                                              age->label, (unsigned long long)age->payload)
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
        return age_armor_source_new(take_ptr(&age->source.next), age->label, cancel, &age->source.next, err);
}

static int prepare(struct age_source *age, const struct reader_options *options, struct error *err)
{
        struct age_header header = { 0 };
        int result;

        if (!age->label)
                return error_no_memory(err);
        if (peel_armor(age, options->cancel, err) < 0 ||
            intake_init(&age->intake, age->source.next, age->label, options->cancel, err) < 0)
                return -1;
        result = age_header_read(&header, &age->intake, err);
        if (result == 0)
                result = open_header(age, &header, options, err);
        age_header_deinit(&header);
        if (result < 0)
                return -1;
        age->carried = malloc(SEALED_SIZE);
        return age->carried ? make_ring(age, 1, err) : error_no_memory(err);
}

int age_source_new(struct source *next, const char *label, const struct reader_options *options,
                   struct source **ret_source, struct error *err)
{
        struct age_source *age = calloc(1, sizeof *age);

        if (!age) {
                source_free(next);
                return error_no_memory(err);
        }
        age->source = (struct source){ .ops = &age_source_ops, .next = next };
        age->label = strdup(label);
        age->pool = options->pool;
        if (prepare(age, options, err) < 0) {
                source_free(&age->source);
                return -1;
        }
        *ret_source = &age->source;
        return 0;
}
