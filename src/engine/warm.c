/* engine/warm.c - asks the system for the pages of the first blocks of the KV memory, behind the
 * back of what computes. */
#include "engine/engine_int.h"

#include "base/mem.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void *warm(void *arg)
{
    struct engine_kv *kv = arg;
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19); // of this thread alone
    for (size_t i = 0; i < kv->n_blocks && i < ENGINE_WARM / ENGINE_BLOCK; i++)
        if (atomic_load(&kv->warm_stop) ||
            !mem_populate(kv->mem + i * kv->block_bytes, kv->block_bytes))
            break;
    return NULL;
}

void engine_warm_start(struct engine_kv *kv)
{
    kv->warming = pthread_create(&kv->warmer, NULL, warm, kv) == 0; // else pages come when used
}

void engine_warm_end(struct engine_kv *kv)
{
    atomic_store(&kv->warm_stop, true);
    if (kv->warming)
        pthread_join(kv->warmer, NULL);
    kv->warming = false;
}
