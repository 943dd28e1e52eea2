// oracle/llama_logits.cpp - llama.cpp's logits of every position, through its public API.
//
//   llama_logits MODEL.gguf UBATCH FLASH(0|1) N_CTX < tokens > logits
//
// tokens: decimal ids separated by white space.  logits: [n_tokens][n_vocab] f32, native order.
// Built by hand against any build of the reference:
//   g++ -O1 -std=c++17 -I$LLAMA/include -I$LLAMA/ggml/include tests/oracle/llama_logits.cpp \
//       -o llama_logits -L$LLAMA/build/bin -lllama -lggml -lggml-base -Wl,-rpath,$LLAMA/build/bin
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "llama.h"

static void quiet(ggml_log_level level, const char * text, void *) {
    if (level == GGML_LOG_LEVEL_ERROR) {
        fputs(text, stderr);
    }
}

int main(int argc, char ** argv) {
    if (argc != 5) {
        fprintf(stderr, "usage: llama_logits MODEL.gguf UBATCH FLASH N_CTX < tokens > logits\n");
        return 2;
    }
    std::vector<llama_token> tokens;
    for (int id; scanf("%d", &id) == 1;) {
        tokens.push_back(id);
    }
    llama_log_set(quiet, nullptr);
    llama_backend_init();

    llama_model_params mp = llama_model_default_params();
    llama_model * model = llama_model_load_from_file(argv[1], mp);
    if (!model) {
        return 1;
    }
    const int n = (int) tokens.size();
    llama_context_params cp = llama_context_default_params();
    cp.n_ctx = (uint32_t) atoi(argv[4]);
    cp.n_batch = (uint32_t) n;
    cp.n_ubatch = (uint32_t) atoi(argv[2]);
    cp.n_threads = cp.n_threads_batch = 1;
    cp.flash_attn_type = atoi(argv[3]) ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
    llama_context * ctx = llama_init_from_model(model, cp);
    if (!ctx) {
        return 1;
    }

    llama_batch batch = llama_batch_init(n, 0, 1);
    batch.n_tokens = n;
    for (int i = 0; i < n; i++) {
        batch.token[i] = tokens[i];
        batch.pos[i] = i;
        batch.n_seq_id[i] = 1;
        batch.seq_id[i][0] = 0;
        batch.logits[i] = 1;
    }
    if (llama_decode(ctx, batch) != 0) {
        fprintf(stderr, "llama_decode failed\n");
        return 1;
    }
    const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(model));
    for (int i = 0; i < n; i++) {
        fwrite(llama_get_logits_ith(ctx, i), sizeof(float), (size_t) n_vocab, stdout);
    }
    llama_batch_free(batch);
    llama_free(ctx);
    llama_model_free(model);
    return 0;
}
