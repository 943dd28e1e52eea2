/* fuzz/tools_html_fuzz.c - pages: any bytes give valid text within the bounds. */
#include "tools/html.h"

#include "base/utf8.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf title = BUF_INIT(200), text = BUF_INIT(2000);
    html_text((str){(const char *)data, size}, &title, &text);
    assert(title.full || utf8_valid(buf_as_str(&title)));
    assert(text.full || utf8_valid(buf_as_str(&text)));
    assert(text.full || str_find(buf_as_str(&text), STR("\n\n\n")) < 0);
    buf_free(&title);
    buf_free(&text);
    return 0;
}
