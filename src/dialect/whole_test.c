/* dialect/whole_test.c - golden plain answers: a run that is read back from the store, as each wire
 * tells it at once. */
#include "dialect/golden.h"
#include "dialect/responses.h"
#include "dialect/friendli.h"
#include "dialect/ollama.h"

#include "base/mem.h"
#include "base/queue.h"
#include "chat/pack.h"

#include "tiny_model.h"

#include <stdlib.h>
#include <unistd.h>

struct world {
    struct buf file;
    struct gguf *gguf;
    struct tok *tok;
    struct chat_template *tmpl;
    struct engine *engine;
    struct queue *out;
    struct sched *sched;
    struct store *store;
    struct runs *runs;
    char dir[64];
};

/* A model, which answers nothing here, and a store for the runs. */
static void world_open(struct world *w)
{
    struct sched_conf sc = sched_conf_default();
    struct engine_conf ec = engine_conf_default();
    struct runs_conf rc = runs_conf_default();
    struct store_conf stc = store_conf_default();
    struct err e;
    *w = (struct world){0};
    snprintf(w->dir, sizeof w->dir, "/tmp/confab-whole-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    sc.n_ctx = 256;
    sc.max_seqs = 1;
    sc.max_rows = 32;
    ec.n_threads = 1;
    ec.kv_tokens = 256;
    ec.max_rows = sc.max_rows;
    ec.max_logits = 1;
    rc.n_workers = 1;
    assert_true(tiny_model(&w->file));
    assert_true(gguf_open_bytes(&w->gguf, buf_as_str(&w->file), &e));
    assert_true(tok_open(&w->tok, w->gguf, &e));
    assert_true(chat_template_open(&w->tmpl, w->gguf, w->tok, NULL, &e));
    assert_true(engine_open(&w->engine, w->gguf, &ec, &e));
    w->out = queue_new(sched_out_capacity(&sc), true);
    assert_true(sched_open(&w->sched, w->engine, w->tok, &sc, w->out, &e));
    stc.dir = w->dir;
    if (!store_open(&w->store, &stc, &e))
        fail_msg("%s", e.msg);
    const struct run_model model = {.name = "m",
                                    .gguf = w->gguf,
                                    .tok = w->tok,
                                    .tmpl = w->tmpl,
                                    .sched = w->sched,
                                    .sched_out = w->out,
                                    .info = engine_info(w->engine),
                                    .created_unix = 1767225600};
    rc.store = w->store;
    assert_true(runs_open(&w->runs, &model, 1, &rc, &e));
}

static void world_close(struct world *w)
{
    static const char *const files[] = {"confab.db", "confab.db-wal", "confab.db-shm"};
    sched_close(w->sched);
    runs_close(w->runs);
    store_close(w->store);
    sched_free(w->sched);
    queue_free(w->out);
    engine_close(w->engine);
    chat_template_close(w->tmpl);
    tok_close(w->tok);
    gguf_close(w->gguf);
    buf_free(&w->file);
    for (size_t i = 0; i < COUNT(files); i++) {
        char path[128];
        snprintf(path, sizeof path, "%s/%s", w->dir, files[i]);
        unlink(path);
    }
    rmdir(w->dir);
}

static void no_error(const struct err *e, void *arg)
{
    (void)arg;
    if (e)
        fail_msg("%s", e->msg);
}

/* The run of these events, as if a process before this one had computed it; held. */
static struct run *past_run(struct world *w, const char *id, const struct chat_event *events)
{
    struct chat_request *r = chat_request_new((size_t)1 << 20);
    struct buf request = BUF_INIT((size_t)1 << 20), packed[GOLDEN_EVENTS];
    str bytes[GOLDEN_EVENTS];
    struct err e;
    size_t n = 0;
    r->messages = json_pack("[{s:s s:s}]", "role", "user", "content", "Hi");
    r->has_seed = true;
    r->seed = 7;
    assert_true(chat_request_pack(r, &request));
    chat_request_free(r);
    for (bool over = false; !over; n++) {
        struct chat_event ev = events[n];
        ev.number = n + 1;
        ev.unix_ms = 1767225600000 + (int64_t)n * 1000;
        over = ev.what == CHAT_COMPLETED || ev.what == CHAT_FAILED;
        buf_init(&packed[n], 65536);
        assert_true(chat_event_pack(&ev, STR(""), &packed[n]));
        bytes[n] = buf_as_str(&packed[n]);
    }
    const struct store_run sr = {.id = str_c(id),
                                 .origin = STR("x"),
                                 .model = STR("m"),
                                 .request = buf_as_str(&request),
                                 .seed = 7,
                                 .created_ms = 1767225600000};
    const struct store_more more = {.first = 1,
                                    .events = bytes,
                                    .n = n,
                                    .state = events[n - 1].what == CHAT_COMPLETED ? STORE_COMPLETED
                                                                                  : STORE_FAILED,
                                    .ended_ms = 1767225600000 + (int64_t)n * 1000,
                                    .n_prompt = 9};
    if (!store_run_new(w->store, &sr, NULL, NULL, &e) ||
        !store_run_add(w->store, sr.id, &more, NULL, NULL, &e))
        fail_msg("%s", e.msg);
    struct run_load *load;
    assert_true(runs_load(w->runs, sr.id, STR(""), no_error, NULL, &load, &e));
    store_drain(w->store);
    for (size_t i = 0; i < n; i++)
        buf_free(&packed[i]);
    buf_free(&request);
    struct run *run = runs_find(w->runs, sr.id, STR(""));
    assert_non_null(run);
    return run;
}

static const struct err stopped = {ERR_CANCELED, "", "the request was cancelled", ""};

static const struct chat_event text_events[] = {
    GOLDEN_STARTED,         GOLDEN_REASONING("hm"),           GOLDEN_TEXT("Hi \""),
    GOLDEN_TEXT("you\"\n"), GOLDEN_FINISHED(CHAT_FINISH_END), GOLDEN_COMPLETED(9, 4, 5)};
static const struct chat_event call_events[] = {GOLDEN_STARTED,
                                                GOLDEN_TEXT("So."),
                                                GOLDEN_CALL(0, "call_1", "tide"),
                                                GOLDEN_ARGUMENTS(0, "{\"h\":"),
                                                GOLDEN_ARGUMENTS(0, "1}"),
                                                GOLDEN_CALL(1, "call_2", "wind"),
                                                GOLDEN_ARGUMENTS(1, "{}"),
                                                GOLDEN_FINISHED(CHAT_FINISH_CALLS),
                                                GOLDEN_COMPLETED(9, 0, 8)};
static const struct chat_event cut_events[] = {GOLDEN_STARTED, GOLDEN_TEXT("Hi"),
                                               GOLDEN_FAILED(&stopped)};
static const struct chat_event long_events[] = {GOLDEN_STARTED, GOLDEN_TEXT("Hi"),
                                                GOLDEN_FINISHED(CHAT_FINISH_LENGTH),
                                                GOLDEN_COMPLETED(9, 0, 1)};

static void answers_are_golden(void **state)
{
    static const struct {
        const char *name;
        const struct wire *wire;
        const struct chat_event *events;
        const char *want;
    } rows[] = {
        {"OpenAI: text", &openai_chat_wire, text_events,
         "{\"id\":\"chatcmpl-text\",\"object\":\"chat.completion\",\"created\":1"
         "767225600,\"model\":\"m\",\"system_fingerprint\":\"fp\",\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi \\\"y"
         "ou\\\"\\n\",\"refusal\":null,\"annotations\":[],\"reasoning_content\":"
         "\"hm\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"pr"
         "ompt_tokens\":9,\"completion_tokens\":5,\"total_tokens\":14,\"prompt_t"
         "okens_details\":{\"cached_tokens\":4},\"completion_tokens_details\":{"
         "\"reasoning_tokens\":0}},\"service_tier\":\"default\"}"},
        {"OpenAI: call", &openai_chat_wire, call_events,
         "{\"id\":\"chatcmpl-call\",\"object\":\"chat.completion\",\"created\":1"
         "767225600,\"model\":\"m\",\"system_fingerprint\":\"fp\",\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"So.\",\""
         "refusal\":null,\"annotations\":[],\"tool_calls\":[{\"id\":\"call_1\","
         "\"type\":\"function\",\"function\":{\"name\":\"tide\",\"arguments\":\""
         "{\\\"h\\\":1}\"}},{\"id\":\"call_2\",\"type\":\"function\",\"function"
         "\":{\"name\":\"wind\",\"arguments\":\"{}\"}}]},\"logprobs\":null,\"fin"
         "ish_reason\":\"tool_calls\"}],\"usage\":{\"prompt_tokens\":9,\"complet"
         "ion_tokens\":8,\"total_tokens\":17,\"prompt_tokens_details\":{\"cached"
         "_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}},"
         "\"service_tier\":\"default\"}"},
        {"OpenAI: long", &openai_chat_wire, long_events,
         "{\"id\":\"chatcmpl-long\",\"object\":\"chat.completion\",\"created\":1"
         "767225600,\"model\":\"m\",\"system_fingerprint\":\"fp\",\"choices\":[{"
         "\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"Hi\",\"r"
         "efusal\":null,\"annotations\":[]},\"logprobs\":null,\"finish_reason\":"
         "\"length\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":1,\""
         "total_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":0},\"co"
         "mpletion_tokens_details\":{\"reasoning_tokens\":0}},\"service_tier\":"
         "\"default\"}"},
        {"Responses: text", &responses_wire, text_events,
         "{\"id\":\"resp_text\",\"object\":\"response\",\"created_at\":176722560"
         "0,\"status\":\"completed\",\"completed_at\":1767225605,\"error\":null,"
         "\"incomplete_details\":null,\"model\":\"m\",\"output\":[{\"id\":\"rs_t"
         "ext_0\",\"type\":\"reasoning\",\"status\":\"completed\",\"summary\":[]"
         ",\"content\":[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]},{\"id\":"
         "\"msg_text_1\",\"type\":\"message\",\"status\":\"completed\",\"role\":"
         "\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi "
         "\\\"you\\\"\\n\",\"annotations\":[],\"logprobs\":[]}]}],\"instructions"
         "\":null,\"metadata\":{},\"parallel_tool_calls\":true,\"temperature\":n"
         "ull,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,\"usage\":{\""
         "input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4,\"cache"
         "_write_tokens\":0},\"output_tokens\":5,\"output_tokens_details\":{\"re"
         "asoning_tokens\":0},\"total_tokens\":14}}"},
        {"Responses: call", &responses_wire, call_events,
         "{\"id\":\"resp_call\",\"object\":\"response\",\"created_at\":176722560"
         "0,\"status\":\"completed\",\"completed_at\":1767225608,\"error\":null,"
         "\"incomplete_details\":null,\"model\":\"m\",\"output\":[{\"id\":\"msg_"
         "call_0\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assi"
         "stant\",\"content\":[{\"type\":\"output_text\",\"text\":\"So.\",\"anno"
         "tations\":[],\"logprobs\":[]}]},{\"id\":\"fc_call_1\",\"type\":\"funct"
         "ion_call\",\"status\":\"completed\",\"call_id\":\"call_1\",\"name\":\""
         "tide\",\"arguments\":\"{\\\"h\\\":1}\"},{\"id\":\"fc_call_2\",\"type\""
         ":\"function_call\",\"status\":\"completed\",\"call_id\":\"call_2\",\"n"
         "ame\":\"wind\",\"arguments\":\"{}\"}],\"instructions\":null,\"metadata"
         "\":{},\"parallel_tool_calls\":true,\"temperature\":null,\"tool_choice"
         "\":\"auto\",\"tools\":[],\"top_p\":null,\"usage\":{\"input_tokens\":9,"
         "\"input_tokens_details\":{\"cached_tokens\":0,\"cache_write_tokens\":0"
         "},\"output_tokens\":8,\"output_tokens_details\":{\"reasoning_tokens\":"
         "0},\"total_tokens\":17}}"},
        {"Responses: long", &responses_wire, long_events,
         "{\"id\":\"resp_long\",\"object\":\"response\",\"created_at\":176722560"
         "0,\"status\":\"incomplete\",\"completed_at\":null,\"error\":null,\"inc"
         "omplete_details\":{\"reason\":\"max_output_tokens\"},\"model\":\"m\","
         "\"output\":[{\"id\":\"msg_long_0\",\"type\":\"message\",\"status\":\"i"
         "ncomplete\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_tex"
         "t\",\"text\":\"Hi\",\"annotations\":[],\"logprobs\":[]}]}],\"instructi"
         "ons\":null,\"metadata\":{},\"parallel_tool_calls\":true,\"temperature"
         "\":null,\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":null,\"usage\""
         ":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":0,\"c"
         "ache_write_tokens\":0},\"output_tokens\":1,\"output_tokens_details\":{"
         "\"reasoning_tokens\":0},\"total_tokens\":10}}"},
        {"Responses: cut", &responses_wire, cut_events,
         "{\"id\":\"resp_cut\",\"object\":\"response\",\"created_at\":1767225600"
         ",\"status\":\"cancelled\",\"completed_at\":null,\"error\":null,\"incom"
         "plete_details\":null,\"model\":\"m\",\"output\":[{\"id\":\"msg_cut_0\""
         ",\"type\":\"message\",\"status\":\"incomplete\",\"role\":\"assistant\""
         ",\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\",\"annotations"
         "\":[],\"logprobs\":[]}]}],\"instructions\":null,\"metadata\":{},\"para"
         "llel_tool_calls\":true,\"temperature\":null,\"tool_choice\":\"auto\","
         "\"tools\":[],\"top_p\":null,\"usage\":null}"},
        {"Anthropic: text", &anthropic_wire, text_events,
         "{\"id\":\"msg_c9e7a9e349bcbd3bf71b5f4ed9b05566\",\"type\":\"message\","
         "\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"thinki"
         "ng\",\"thinking\":\"hm\",\"signature\":\"\"},{\"type\":\"text\",\"text"
         "\":\"Hi \\\"you\\\"\\n\",\"citations\":null}],\"stop_reason\":\"end_tu"
         "rn\",\"stop_sequence\":null,\"stop_details\":null,\"container\":null,"
         "\"diagnostics\":null,\"usage\":{\"input_tokens\":5,\"output_tokens\":5"
         ",\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":4,\"cac"
         "he_creation\":null,\"output_tokens_details\":null,\"server_tool_use\":"
         "null,\"service_tier\":\"standard\",\"inference_geo\":null,\"speed\":nu"
         "ll}}"},
        {"Anthropic: call", &anthropic_wire, call_events,
         "{\"id\":\"msg_b05d2cb936f22c16a129d652465dcf53\",\"type\":\"message\","
         "\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\""
         ",\"text\":\"So.\",\"citations\":null},{\"type\":\"tool_use\",\"id\":\""
         "toolu_25fb438df5a7f041907b660a84281d68\",\"name\":\"tide\",\"input\":{"
         "\"h\":1},\"caller\":{\"type\":\"direct\"}},{\"type\":\"tool_use\",\"id"
         "\":\"toolu_5f1bc874b991d3dd97bbae6e7f9325d2\",\"name\":\"wind\",\"inpu"
         "t\":{},\"caller\":{\"type\":\"direct\"}}],\"stop_reason\":\"tool_use\""
         ",\"stop_sequence\":null,\"stop_details\":null,\"container\":null,\"dia"
         "gnostics\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":8,\"ca"
         "che_creation_input_tokens\":0,\"cache_read_input_tokens\":0,\"cache_cr"
         "eation\":null,\"output_tokens_details\":null,\"server_tool_use\":null,"
         "\"service_tier\":\"standard\",\"inference_geo\":null,\"speed\":null}}"},
        {"Anthropic: long", &anthropic_wire, long_events,
         "{\"id\":\"msg_9726d1063b6b5932921f925e3e3e4315\",\"type\":\"message\","
         "\"role\":\"assistant\",\"model\":\"m\",\"content\":[{\"type\":\"text\""
         ",\"text\":\"Hi\",\"citations\":null}],\"stop_reason\":\"model_context_"
         "window_exceeded\",\"stop_sequence\":null,\"stop_details\":null,\"conta"
         "iner\":null,\"diagnostics\":null,\"usage\":{\"input_tokens\":9,\"outpu"
         "t_tokens\":1,\"cache_creation_input_tokens\":0,\"cache_read_input_toke"
         "ns\":0,\"cache_creation\":null,\"output_tokens_details\":null,\"server"
         "_tool_use\":null,\"service_tier\":\"standard\",\"inference_geo\":null,"
         "\"speed\":null}}"},
        {"Zylon: text", &zylon_wire, text_events,
         "{\"id\":\"msg_c9e7a9e349bcbd3bf71b5f4ed9b05566\",\"type\":\"message\","
         "\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"start_tim"
         "estamp\":\"2026-01-01T00:00:01.000000Z\",\"stop_timestamp\":\"2026-01-"
         "01T00:00:02.000000Z\",\"thinking\":\"hm\",\"signature\":\"sig_8671af45"
         "f8dd336d082c313057e01b7c\",\"citations\":[]},{\"type\":\"text\",\"star"
         "t_timestamp\":\"2026-01-01T00:00:02.000000Z\",\"stop_timestamp\":\"202"
         "6-01-01T00:00:04.000000Z\",\"text\":\"Hi \\\"you\\\"\\n\"}],\"model\":"
         "\"m\",\"container\":null,\"stop_details\":null,\"stop_reason\":\"end_t"
         "urn\",\"stop_sequence\":null,\"usage\":{\"input_tokens\":9,\"output_to"
         "kens\":5}}"},
        {"Zylon: call", &zylon_wire, call_events,
         "{\"id\":\"msg_b05d2cb936f22c16a129d652465dcf53\",\"type\":\"message\","
         "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"start_timesta"
         "mp\":\"2026-01-01T00:00:01.000000Z\",\"stop_timestamp\":\"2026-01-01T0"
         "0:00:02.000000Z\",\"text\":\"So.\"},{\"type\":\"tool_use\",\"start_tim"
         "estamp\":\"2026-01-01T00:00:02.000000Z\",\"stop_timestamp\":\"2026-01-"
         "01T00:00:05.000000Z\",\"id\":\"tool_25fb438df5a7f041907b660a84281d68\""
         ",\"name\":\"tide\",\"input\":{\"h\":1}},{\"type\":\"tool_use\",\"start"
         "_timestamp\":\"2026-01-01T00:00:05.000000Z\",\"stop_timestamp\":\"2026"
         "-01-01T00:00:07.000000Z\",\"id\":\"tool_5f1bc874b991d3dd97bbae6e7f9325"
         "d2\",\"name\":\"wind\",\"input\":{}}],\"model\":\"m\",\"container\":nu"
         "ll,\"stop_details\":null,\"stop_reason\":\"tool_use\",\"stop_sequence"
         "\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":8}}"},
        {"Zylon: long", &zylon_wire, long_events,
         "{\"id\":\"msg_9726d1063b6b5932921f925e3e3e4315\",\"type\":\"message\","
         "\"role\":\"assistant\",\"content\":[{\"type\":\"text\",\"start_timesta"
         "mp\":\"2026-01-01T00:00:01.000000Z\",\"stop_timestamp\":\"2026-01-01T0"
         "0:00:02.000000Z\",\"text\":\"Hi\"}],\"model\":\"m\",\"container\":null"
         ",\"stop_details\":null,\"stop_reason\":\"max_tokens\",\"stop_sequence"
         "\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}"},
        {"Nugen: text", &nugen_chat_wire, text_events,
         "{\"id\":\"nugen-text\",\"object\":\"chat.completion\",\"created\":1767"
         "225600,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\""
         ":\"assistant\",\"content\":\"Hi \\\"you\\\"\\n\",\"reasoning_content\""
         ":\"hm\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,"
         "\"completion_tokens\":5,\"total_tokens\":14}}"},
        {"Nugen: call", &nugen_chat_wire, call_events,
         "{\"id\":\"nugen-call\",\"object\":\"chat.completion\",\"created\":1767"
         "225600,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\""
         ":\"assistant\",\"content\":\"So.\",\"tool_calls\":[{\"id\":\"call_1\","
         "\"type\":\"function\",\"function\":{\"name\":\"tide\",\"arguments\":\""
         "{\\\"h\\\":1}\"}},{\"id\":\"call_2\",\"type\":\"function\",\"function"
         "\":{\"name\":\"wind\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"too"
         "l_calls\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":8,\"t"
         "otal_tokens\":17}}"},
        {"Nugen: long", &nugen_chat_wire, long_events,
         "{\"id\":\"nugen-long\",\"object\":\"chat.completion\",\"created\":1767"
         "225600,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\""
         ":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"length\"}],\"us"
         "age\":{\"prompt_tokens\":9,\"completion_tokens\":1,\"total_tokens\":10"
         "}}"},
        {"Pawa AI: text", &pawa_wire, text_events,
         "{\"success\":true,\"message\":\"Chat request processed successfully\","
         "\"data\":{\"id\":\"chat_text\",\"request\":[{\"finish_reason\":\"stop"
         "\",\"message\":{\"role\":\"assistant\",\"content\":[{\"type\":\"thinki"
         "ng\",\"thinking\":[{\"type\":\"text\",\"text\":\"hm\"}]},{\"type\":\"t"
         "ext\",\"text\":\"Hi \\\"you\\\"\\n\"}]},\"matched_stop\":7}],\"created"
         "\":1767225600,\"model\":\"m\",\"object\":\"chat.request\",\"usage\":{"
         "\"tokens_in\":9,\"tokens_out\":5}}}"},
        {"Pawa AI: call", &pawa_wire, call_events,
         "{\"success\":true,\"message\":\"Chat request processed successfully\","
         "\"data\":{\"id\":\"chat_call\",\"request\":[{\"finish_reason\":\"tool"
         "\",\"message\":{\"role\":\"assistant\",\"content\":\"So.\",\"tool_call"
         "s\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
         "\"tide\",\"arguments\":\"{\\\"h\\\":1}\"}},{\"id\":\"call_2\",\"type\""
         ":\"function\",\"function\":{\"name\":\"wind\",\"arguments\":\"{}\"}}]}"
         ",\"matched_stop\":null}],\"created\":1767225600,\"model\":\"m\",\"obje"
         "ct\":\"chat.request\",\"usage\":{\"tokens_in\":9,\"tokens_out\":8}}}"},
        {"Pawa AI: long", &pawa_wire, long_events,
         "{\"success\":true,\"message\":\"Chat request processed successfully\","
         "\"data\":{\"id\":\"chat_long\",\"request\":[{\"finish_reason\":\"stop"
         "\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"matched_s"
         "top\":null,\"finish_detail\":\"length\"}],\"created\":1767225600,\"mod"
         "el\":\"m\",\"object\":\"chat.request\",\"usage\":{\"tokens_in\":9,\"to"
         "kens_out\":1}}}"},
        {"Pawa AI: cut", &pawa_wire, cut_events,
         "{\"success\":true,\"message\":\"Chat request processed successfully\","
         "\"data\":{\"id\":\"chat_cut\",\"request\":[{\"finish_reason\":\"cancel"
         "led\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"matche"
         "d_stop\":null}],\"created\":1767225600,\"model\":\"m\",\"object\":\"ch"
         "at.request\",\"usage\":{\"tokens_in\":9,\"tokens_out\":1}}}"},
        {"FriendliAI: text", &friendli_chat_wire, text_events,
         "{\"id\":\"chatcmpl-text\",\"object\":\"chat.completion\",\"created\":1"
         "767225605,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"rol"
         "e\":\"assistant\",\"reasoning_content\":\"hm\",\"content\":\"Hi \\\"yo"
         "u\\\"\\n\"},\"finish_reason\":\"stop\",\"logprobs\":null,\"seed\":7}],"
         "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":5,\"total_tokens"
         "\":14,\"prompt_tokens_details\":{\"cached_tokens\":4}}}"},
        {"FriendliAI: call", &friendli_chat_wire, call_events,
         "{\"id\":\"chatcmpl-call\",\"object\":\"chat.completion\",\"created\":1"
         "767225608,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"rol"
         "e\":\"assistant\",\"content\":\"So.\",\"tool_calls\":[{\"id\":\"call_1"
         "\",\"type\":\"function\",\"function\":{\"name\":\"tide\",\"arguments\""
         ":\"{\\\"h\\\":1}\"}},{\"id\":\"call_2\",\"type\":\"function\",\"functi"
         "on\":{\"name\":\"wind\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"t"
         "ool_calls\",\"logprobs\":null,\"seed\":7}],\"usage\":{\"prompt_tokens"
         "\":9,\"completion_tokens\":8,\"total_tokens\":17,\"prompt_tokens_detai"
         "ls\":{\"cached_tokens\":0}}}"},
        {"FriendliAI: long", &friendli_chat_wire, long_events,
         "{\"id\":\"chatcmpl-long\",\"object\":\"chat.completion\",\"created\":1"
         "767225603,\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"rol"
         "e\":\"assistant\",\"content\":\"Hi\"},\"finish_reason\":\"length\",\"l"
         "ogprobs\":null,\"seed\":7}],\"usage\":{\"prompt_tokens\":9,\"completio"
         "n_tokens\":1,\"total_tokens\":10,\"prompt_tokens_details\":{\"cached_t"
         "okens\":0}}}"},
        {"Ollama: text", &ollama_chat_wire, text_events,
         "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:05.000000Z\",\"mess"
         "age\":{\"role\":\"assistant\",\"content\":\"Hi \\\"you\\\"\\n\",\"thin"
         "king\":\"hm\"},\"done\":true,\"done_reason\":\"stop\",\"total_duration"
         "\":5000000000,\"load_duration\":0,\"prompt_eval_count\":9,\"prompt_eva"
         "l_duration\":0,\"eval_count\":5,\"eval_duration\":5000000000}"},
        {"Ollama: call", &ollama_chat_wire, call_events,
         "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:08.000000Z\",\"mess"
         "age\":{\"role\":\"assistant\",\"content\":\"So.\",\"tool_calls\":[{\"i"
         "d\":\"call_1\",\"function\":{\"index\":0,\"name\":\"tide\",\"arguments"
         "\":{\"h\":1}}},{\"id\":\"call_2\",\"function\":{\"index\":1,\"name\":"
         "\"wind\",\"arguments\":{}}}]},\"done\":true,\"done_reason\":\"stop\","
         "\"total_duration\":8000000000,\"load_duration\":0,\"prompt_eval_count"
         "\":9,\"prompt_eval_duration\":0,\"eval_count\":8,\"eval_duration\":800"
         "0000000}"},
        {"Ollama: long", &ollama_chat_wire, long_events,
         "{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:03.000000Z\",\"mess"
         "age\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":true,\"done"
         "_reason\":\"length\",\"total_duration\":3000000000,\"load_duration\":0"
         ",\"prompt_eval_count\":9,\"prompt_eval_duration\":0,\"eval_count\":1,"
         "\"eval_duration\":3000000000}"},
    };
    static const struct {
        const char *id;
        const struct chat_event *events;
    } past[] = {
        {"text", text_events}, {"call", call_events}, {"cut", cut_events}, {"long", long_events}};
    struct run *runs[COUNT(past)];
    struct world w;
    (void)state;
    world_open(&w);
    struct dialect d = {.conf = {.runs = w.runs, .fingerprint = "fp"}};
    for (size_t i = 0; i < COUNT(past); i++)
        runs[i] = past_run(&w, past[i].id, past[i].events);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t k = 0; k < COUNT(past); k++) {
            if (past[k].events != rows[i].events)
                continue;
            struct buf out = BUF_INIT(100000);
            struct talk_facts f = talk_facts_of(&d, rows[i].wire, runs[k]);
            rows[i].wire->whole(&f, runs[k], &out);
            check_bytes(&out, rows[i].want, rows[i].name);
            buf_free(&out);
        }
    for (size_t i = 0; i < COUNT(past); i++)
        run_drop(runs[i]);
    world_close(&w);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(answers_are_golden),
};
TEST_FILE(tests)
