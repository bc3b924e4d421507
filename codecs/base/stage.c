#include "codecs/base/stage.h"

#include <stdlib.h>

void *stage_make(size_t size, const struct stage_ops *ops, struct stage *next, struct error *err)
{
        struct stage *stage = calloc(1, size);

        if (!stage) {
                stage_free(next);
                error_no_memory(err);
                return NULL;
        }
        *stage = (struct stage){ .ops = ops, .next = next };
        return stage;
}

/* Each call goes to the first stage from here on that implements it; a chain without one has nothing to do. */
#define STAGE_WITH(stage, op)                    \
        ({                                       \
                struct stage *with_ = (stage);   \
                while (with_ && !with_->ops->op) \
                        with_ = with_->next;     \
                with_;                           \
        })
#define STAGE_CALL(stage, op, ...)                              \
        ({                                                      \
                struct stage *call_ = STAGE_WITH(stage, op);    \
                call_ ? call_->ops->op(call_, __VA_ARGS__) : 0; \
        })

int stage_writev(struct stage *stage, const struct iovec *iov, int count, struct error *err)
{
        return STAGE_CALL(stage, writev, iov, count, err);
}

int stage_write(struct stage *stage, const void *data, size_t size, struct error *err)
{
        struct iovec iov = { .iov_base = (void *)(uintptr_t)data, .iov_len = size };

        return stage_writev(stage, &iov, 1, err);
}

int stage_flush(struct stage *stage, struct error *err)
{
        return STAGE_CALL(stage, flush, err);
}

int stage_reserve(struct stage *stage, uint64_t bytes, struct error *err)
{
        return STAGE_CALL(stage, reserve, bytes, err);
}

int stage_complete(struct stage *stage, struct error *err)
{
        return STAGE_CALL(stage, complete, err);
}

int stage_finish(struct stage *stage, const char *report_json, struct error *err)
{
        return STAGE_CALL(stage, finish, report_json, err);
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

                if (stage->ops->free)
                        stage->ops->free(stage);
                else
                        free(stage);
                stage = next;
        }
}

void stage_freep(struct stage **stage)
{
        stage_free(*stage);
        *stage = NULL;
}
