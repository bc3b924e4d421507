#include "cli/media/chain.h"

#include "cli/media/coding.h"
#include "codecs/age/age.h"

struct vdistream_options chain_stream_options(const struct args *args)
{
        return (struct vdistream_options){
                .compress = args->zstd,
                .zstd_level = (int)args->zstd_level,
                .zstd_long = args->zstd_long,
                .pool = args->pool,
                .flush_boundary = args->coding->recipients ? AGE_CHUNK_SIZE : 0,
        };
}

int chain_new(const struct args *args, const struct stream_info *info, struct stage *sink, struct stage **ret_chain,
              struct error *err)
{
        const struct vdistream_options stream_options = chain_stream_options(args);
        const struct age_options age_options = { .recipients = args->coding->recipients,
                                                 .armor = args->armor,
                                                 .pool = args->pool,
                                                 .always_more = !args->raw };
        struct stage *chain = sink;

        if (args->coding->recipients && age_writer_new(&age_options, chain, &chain, err) < 0)
                return -1;
        if (!args->raw && vdistream_writer_new(info, &stream_options, chain, &chain, err) < 0)
                return -1;
        *ret_chain = chain;
        return 0;
}
