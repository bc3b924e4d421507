#include "codecs/base/stage.h"

#include <stdlib.h>

/* Each call goes to the first stage from here on that implements it; a chain without one has nothing to do. */
#define STAGE_WITH(stage, op)                    \
        ({                                       \
                struct stage *with_ = (stage);   \
                while (with_ && !with_->ops->op) \
                        with_ = with_->next;     \
                with_;                           \
        })

int stage_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        struct stage *with = STAGE_WITH(stage, writev);

        return with ? with->ops->writev(with, iov, count, err) : 0;
}

int stage_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
        struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };

        return stage_writev(stage, &iov, 1, err);
}

int stage_flush(struct stage *stage, struct error *err)
{
        struct stage *with = STAGE_WITH(stage, flush);

        return with ? with->ops->flush(with, err) : 0;
}

int stage_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        struct stage *with = STAGE_WITH(stage, reserve);

        return with ? with->ops->reserve(with, bytes, err) : 0;
}

int stage_complete(struct stage *stage, struct error *err)
{
        struct stage *with = STAGE_WITH(stage, complete);

        return with ? with->ops->complete(with, err) : 0;
}

int stage_finish(struct stage *stage, const char *report_json, struct error *err)
{
        struct stage *with = STAGE_WITH(stage, finish);

        return with ? with->ops->finish(with, report_json, err) : 0;
}

void stage_hurry(struct stage *stage)
{
        struct stage *with = STAGE_WITH(stage, hurry);

        if (with)
                with->ops->hurry(with);
}

void stage_abort(struct stage *stage, const char *reason)
{
        struct stage *with = STAGE_WITH(stage, abort);

        if (with)
                with->ops->abort(with, reason);
}

void stage_free(struct stage *stage)
{
        while (stage) {
                struct stage *next = stage->next;

                stage->ops->free(stage);
                stage = next;
        }
}

void stage_freep(struct stage **stage)
{
        stage_free(*stage);
        *stage = NULL;
}
