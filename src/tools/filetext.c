/* tools/filetext.c - file:text: what a file of the request's or the team's says; PDF by pdftotext,
 * in the sandbox where there is one. */
#include "tools/args.h"
#include "tools/mcp_message.h"
#include "tools/sandbox.h"
#include "tools/tools_int.h"

#include "base/mem.h"

#include <event2/event.h>
#include <openssl/evp.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MAX ((size_t)8 << 20)

struct reading {
    struct tools_job *job;
    struct tools_child *child;
    struct buf text;
    char name[256];
};

const char *tools_file_missing(const struct tools *t)
{
    (void)t;
    return NULL;
}

void tools_file_stop(struct tools_job *job)
{
    struct reading *r = job->own;
    tools_child_stop(r->child);
    buf_free(&r->text);
    mem_free(r);
    job->own = NULL;
}

static void finish(struct reading *r, str text)
{
    struct tools_job *job = r->job;
    size_t room = tools_job_max(job) / 2;
    struct buf cut = BUF_INIT(room + 100);
    json_t *v = json_object();
    mcp_append_cut(&cut, text, room);
    json_object_set_new(v, "name", json_from_str(str_c(r->name)));
    json_object_set_new(v, "text", json_from_str(buf_as_str(&cut)));
    json_object_set_new(v, "truncated", json_boolean(text.n > room));
    json_write(&job->text, v, JSON_PYTHON, -1);
    json_decref(v);
    buf_free(&cut);
    tools_job_end(job, CHAT_FAULT_NONE);
}

static void on_out(str bytes, void *arg)
{
    struct reading *r = arg;
    if (buf_str(&r->text, str_sub(bytes, 0, r->text.max - r->text.n)) && r->text.n < r->text.max)
        return;
    tools_child_stop(r->child); // enough
    r->child = NULL;
    finish(r, buf_as_str(&r->text));
}

static void on_exit_(int status, void *arg)
{
    struct reading *r = arg;
    struct err e;
    r->child = NULL;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        finish(r, buf_as_str(&r->text));
        return;
    }
    err_set(&e, ERR_IO, "the PDF could not be read");
    tools_job_fail(r->job, &e);
}

static bool convert(struct reading *r, str pdf, struct err *e)
{
    static const char *const program[] = {"/usr/bin/pdftotext", "-q", "-enc", "UTF-8",
                                          "/work/main.py",      "-",  NULL};
    const char *argv[SANDBOX_ARGS];
    if (!sandbox_works() || !sandbox_has(program[0]))
        return err_set(e, ERR_IO,
                       "PDF files cannot be read here: pdftotext or bubblewrap is "
                       "missing");
    int fd = memfd_create("pdf", MFD_CLOEXEC);
    if (fd < 0 || write(fd, pdf.p, pdf.n) != (ssize_t)pdf.n || lseek(fd, 0, SEEK_SET) != 0) {
        err_errno(e, ERR_IO, "hold the file");
        if (fd >= 0)
            close(fd);
        return false;
    }
    sandbox_argv(program, true, argv); // the file stands where a program would
    struct tools_child_conf conf = {.argv = argv,
                                    .env = sandbox_env,
                                    .extra_fd = fd,
                                    .cpu_s = 20,
                                    .memory = (size_t)1 << 30,
                                    .file_size = (size_t)64 << 20,
                                    .lower = true,
                                    .on_out = on_out,
                                    .on_exit = on_exit_,
                                    .arg = r};
    bool ok = tools_child_start(&r->child, r->job->session->tools->conf.base, &conf, e);
    close(fd);
    if (ok)
        tools_child_end_input(r->child);
    return ok;
}

static bool decode(str in, struct buf *out, struct err *e)
{
    size_t room = in.n / 4 * 3 + 3;
    char *to = buf_reserve(out, room);
    EVP_ENCODE_CTX *c = EVP_ENCODE_CTX_new();
    int n = 0, more = 0;
    EVP_DecodeInit(c);
    bool ok =
        to && in.n < INT32_MAX &&
        EVP_DecodeUpdate(c, (unsigned char *)to, &n, (const unsigned char *)in.p, (int)in.n) >= 0 &&
        EVP_DecodeFinal(c, (unsigned char *)to + n, &more) >= 0;
    EVP_ENCODE_CTX_free(c);
    if (!ok)
        return err_set(e, ERR_INPUT, "the file is no base64, or too long");
    out->n += (size_t)n + (size_t)more;
    return true;
}

/* Which of the request's files: by name or number, else the first. */
static const json_t *choose(const struct tools_job *job)
{
    const json_t *files = job->entry->files;
    int64_t i = 1;
    struct err e;
    if (!args_int(job->args, "file", false, 1, (int64_t)json_array_size(files), &i, &e))
        i = 1;
    return json_array_get(files, (size_t)i - 1);
}

static bool load(struct reading *r, const json_t *file, struct buf *bytes, struct err *e)
{
    struct tools_job *job = r->job;
    str value = json_as_str(json_object_get(file, "value"));
    if (json_is_object(file) && str_eqc(json_as_str(json_object_get(file, "type")), "text")) {
        snprintf(r->name, sizeof r->name, "text");
        buf_str(bytes, value);
        return !bytes->full || err_set(e, ERR_LIMIT, "the text is too long");
    }
    if (json_is_object(file)) {
        snprintf(r->name, sizeof r->name, "file");
        return decode(value, bytes, e);
    }
    struct tools_file f;
    str id = json_as_str(file), team = job->session->request->team;
    if (!json_is_string(file))
        return err_set(e, ERR_INPUT, "the request has no file to read");
    if (!tools_file_find(job->session->tools, team, id, &f, e) ||
        !tools_file_read(job->session->tools, team, id, bytes, e))
        return false;
    snprintf(r->name, sizeof r->name, "%s", f.name);
    return true;
}

void tools_file_start(struct tools_job *job)
{
    struct reading *r = mem_calloc(1, sizeof *r);
    struct buf bytes = BUF_INIT((size_t)64 << 20);
    struct err e;
    r->job = job;
    job->own = r;
    buf_init(&r->text, TEXT_MAX);
    bool ok = load(r, choose(job), &bytes, &e);
    bool pdf = str_starts(buf_as_str(&bytes), STR("%PDF-"));
    if (ok && pdf)
        ok = convert(r, buf_as_str(&bytes), &e);
    else if (ok)
        finish(r, buf_as_str(&bytes));
    if (!ok)
        tools_job_fail(job, &e);
    buf_free(&bytes);
}
