/* app/blob.c - see blob.h.  The build defines the files' paths. */
#include "app/blob.h"

#define BLOB(name, path)                                                                           \
    __asm__(".section .rodata\n"                                                                   \
            ".balign 4096\n"                                                                       \
            ".global blob_" #name "\n"                                                             \
            "blob_" #name ":\n"                                                                    \
            ".incbin \"" path "\"\n"                                                               \
            ".global blob_" #name "_end\n"                                                         \
            "blob_" #name "_end:\n"                                                                \
            ".byte 0\n"                                                                            \
            ".previous\n");                                                                        \
    extern const char blob_##name[], blob_##name##_end[];

BLOB(page, CONFAB_PAGE)
#ifdef CONFAB_STARTER
BLOB(starter, CONFAB_STARTER)
#endif

str app_blob_page(void)
{
    return str_n(blob_page, (size_t)(blob_page_end - blob_page));
}

str app_blob_starter(void)
{
#ifdef CONFAB_STARTER
    return str_n(blob_starter, (size_t)(blob_starter_end - blob_starter));
#else
    return STR("");
#endif
}
