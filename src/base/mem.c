/* base/mem.c - see mem.h. */
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static void *or_abort(void *p, size_t size)
{
    if (!p) {
        fprintf(stderr, "error base.out_of_memory size=%zu\n", size);
        abort();
    }
    return p;
}

static _Thread_local uint64_t n_allocations;

uint64_t mem_count(void)
{
    return n_allocations;
}

void *mem_alloc(size_t size)
{
    n_allocations++;
    return or_abort(malloc(size ? size : 1), size);
}

void *mem_calloc(size_t n, size_t size)
{
    n_allocations++;
    return or_abort(calloc(n ? n : 1, size ? size : 1), size);
}

void *mem_realloc(void *p, size_t size)
{
    n_allocations++;
    return or_abort(realloc(p, size ? size : 1), size);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(str s)
{
    char *p = mem_alloc(s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return p;
}

#define HUGE_PAGE ((size_t)2 << 20)

void *mem_try(size_t size)
{
    if (size == 0)
        size = 1;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    if (size >= HUGE_PAGE)
        (void)madvise(p, size, MADV_HUGEPAGE); // a wish: works without it
    return p;
}

bool mem_populate(void *p, size_t size)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), skip = (page - (uintptr_t)p % page) % page;
    if (size < skip + page)
        return true;
#if defined(MADV_POPULATE_WRITE)
    return madvise((char *)p + skip, (size - skip) / page * page, MADV_POPULATE_WRITE) == 0;
#else
    return false;
#endif
}

void mem_try_free(void *p, size_t size)
{
    if (p)
        munmap(p, size ? size : 1);
}
