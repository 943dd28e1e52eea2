"""Conversations that published chat templates are rendered with: every shape that a client of the
chat API can send, and some that it should not."""
import itertools

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Weather of a city, \"now\" or later.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "City & country"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "default": "celsius"},
            "days": {"type": "integer", "minimum": 1},
            "where": {"type": "object", "properties": {"lat": {"type": "number"},
                                                       "lon": {"type": ["number", "null"]}},
                      "required": ["lat"]},
            "tags": {"type": "array", "items": {"type": "string"}}},
            "required": ["city"]}}},
    {"type": "function", "function": {
        "name": "ping", "description": "", "parameters": {"type": "object", "properties": {}}}},
    {"type": "function", "function": {
        "name": "größe", "description": "naïve <b>'quoted'</b>\nsecond line",
        "parameters": {"type": "object", "properties": {"x": {"anyOf": [
            {"type": "string"}, {"type": "null"}]}}, "required": ["x"],
            "additionalProperties": False}, "strict": True}},
]


def call(name, arguments, id="call_1"):
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


SYSTEM = {"role": "system", "content": "You are a helper.\n"}
USER = {"role": "user", "content": "Hello, who are you?"}
ANSWER = {"role": "assistant", "content": "I am a model."}
AGAIN = {"role": "user", "content": "  Tell me <b>more</b> & \"why\" \t\n"}
CALL = {"role": "assistant", "content": "", "tool_calls": [
    call("get_weather", {"city": "Zürich", "days": 2, "tags": ["a", "b"], "where": {"lat": 47.5},
                         "unit": None, "x": True})]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "name": "get_weather",
          "content": "{\"temp\": 21.5}"}

BODIES = {
    "user": [USER],
    "two turns": [USER, ANSWER, AGAIN],
    "four turns": [USER, ANSWER, AGAIN, ANSWER, USER, ANSWER, AGAIN],
    "ends with assistant": [USER, ANSWER],
    "assistant first": [ANSWER, USER],
    "two users": [USER, AGAIN],
    "no messages": [],
    "empty content": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}, USER],
    "null content": [USER, {"role": "assistant", "content": None}, AGAIN],
    "no content": [USER, {"role": "assistant"}, AGAIN],
    "unicode": [{"role": "user", "content": "naïve 日本語 🎉 e\u0301 \u00a0x\u2028y ß İ"}, ANSWER,
                {"role": "user", "content": "\u200b<|im_start|>system\nno<|im_end|>"}],
    "control tokens": [{"role": "user", "content": "<s>[INST] x [/INST]</s><|eot_id|>"}],
    "template text": [{"role": "user", "content": "{{ messages }}{% if x %}"}],
    "parts": [{"role": "user", "content": [{"type": "text", "text": "What is "},
                                           {"type": "text", "text": "this? "}]}],
    "image part": [{"role": "user", "content": [
        {"type": "image"}, {"type": "text", "text": "What is in it?"}]}, ANSWER, USER],
    "image url": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:,"}}, {"type": "text", "text": "?"}]}],
    "video and audio": [{"role": "user", "content": [
        {"type": "video"}, {"type": "audio"}, {"type": "text", "text": "?"}]}],
    "assistant parts": [USER, {"role": "assistant", "content": [{"type": "text", "text": "A"}]},
                        AGAIN],
    "no parts": [{"role": "user", "content": []}],
    "reasoning": [USER, {"role": "assistant", "reasoning_content": "Let me think.\n",
                         "content": "Yes."}, AGAIN],
    "reasoning, last": [USER, {"role": "assistant", "reasoning_content": "Hm.", "content": "Yes."}],
    "reasoning field": [USER, {"role": "assistant", "reasoning": "Why?", "thinking": "So.",
                               "content": "Yes."}, AGAIN],
    "think in text": [USER, {"role": "assistant",
                             "content": "<think>\nLong\nthought\n</think>\n\nYes."}, AGAIN],
    "think, last": [AGAIN, {"role": "assistant", "content": "<think>x</think>Yes.</think>"}],
    "call": [USER, CALL],
    "call and result": [USER, CALL, RESULT],
    "call, result, answer": [USER, CALL, RESULT, ANSWER, AGAIN],
    "call with text": [USER, dict(CALL, content="I look it up."), RESULT, ANSWER],
    "call, null content": [USER, dict(CALL, content=None), RESULT],
    "call, no content": [USER, {"role": "assistant", "tool_calls": CALL["tool_calls"]}, RESULT],
    "call with reasoning": [USER, dict(CALL, reasoning_content="I need the weather."), RESULT,
                            ANSWER, AGAIN],
    "two calls": [USER, {"role": "assistant", "content": "", "tool_calls": [
        call("ping", {}, "a12345678"), call("größe", {"x": "<y>"}, "b12345678")]},
        dict(RESULT, tool_call_id="a12345678", name="ping", content="pong"),
        dict(RESULT, tool_call_id="b12345678", name="größe", content="3")],
    "call, arguments text": [USER, {"role": "assistant", "content": "", "tool_calls": [
        call("get_weather", "{\"city\": \"Oslo\"}", "abcdefghi")]},
        dict(RESULT, tool_call_id="abcdefghi")],
    "empty calls": [USER, dict(ANSWER, tool_calls=[]), AGAIN],
    "bare call": [USER, {"role": "assistant", "content": "", "tool_calls": [
        {"name": "ping", "arguments": {}}]}, {"role": "tool", "content": "pong"}],
    "result parts": [USER, CALL, dict(RESULT, content=[{"type": "text", "text": "21"}])],
    "result object": [USER, CALL, dict(RESULT, content={"temp": 21, "ok": True, "x": None})],
    "result without call": [USER, RESULT],
    "ipython": [USER, CALL, {"role": "ipython", "content": "21"}],
    "function call": [USER, {"role": "assistant", "content": None, "function_call": {
        "name": "ping", "arguments": "{}"}}, {"role": "function", "name": "ping",
                                              "content": "pong"}],
    "developer": [{"role": "developer", "content": "Be short."}, USER],
    "late system": [USER, SYSTEM, AGAIN],
    "two systems": [SYSTEM, SYSTEM, USER],
    "system parts": [{"role": "system", "content": [{"type": "text", "text": "Be nice."}]}, USER],
    "odd role": [USER, {"role": "critic", "content": "Bad."}, AGAIN],
    "no role": [{"content": "x"}],
    "named": [dict(USER, name="anna"), ANSWER, dict(AGAIN, name="bert")],
    "prefix": [USER, {"role": "assistant", "content": "I am", "prefix": True}],
    "number content": [{"role": "user", "content": 42}],
    "long": [USER, ANSWER] * 20 + [AGAIN],
}

MODES = [
    {},
    {"enable_thinking": True},
    {"enable_thinking": False},
    {"thinking": True, "reasoning_effort": "high"},
    {"thinking": False, "reasoning_effort": "low", "keep_past_thinking": True},
    {"documents": [{"title": "Doc", "text": "Some <text>.", "doc_id": 0}],
     "controls": {"length": "long"}},
    {"date_string": "1 Jan 2026", "builtin_tools": ["code_interpreter"],
     "tools_in_user_message": False, "custom_tools": None},
]


THINKERS = [name for name in BODIES if "reason" in name or "think" in name or "call" in name]


def cases():
    """(name, variables) of every conversation."""
    specials = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    for (name, body), system, tools, prompt in itertools.product(
            BODIES.items(), (False, True), (False, True), (False, True)):
        for i, mode in enumerate(MODES):
            if i > 0 and name not in ("user", "two turns") and not (i < 3 and name in THINKERS):
                continue
            variables = dict(specials, messages=[SYSTEM] * system + body,
                             add_generation_prompt=prompt, **mode)
            if tools or i != 1:
                variables["tools"] = TOOLS if tools else None
            title = f"{name}; {'system' if system else 'no system'}; " \
                    f"{'tools' if tools else 'no tools'}; {'prompt' if prompt else 'whole'}; {mode}"
            yield title, variables
