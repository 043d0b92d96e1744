"""What OpenAI's own client finds at `ossmark serve`; a line for each: what, tab, ok or what was wrong. For real_peers.py."""

import sys

from openai import OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="none")
model = client.models.list().data[0].id
failed = False


def check(what, good):
    global failed
    failed |= not good
    print(f"{what}\t{'ok' if good else 'not as expected'}")


check("models.retrieve", client.models.retrieve(model).id == model)

# Control tokens of an untrained prompt may be all there is of a text: ids are what is compared.
ask = {"model": model, "prompt": "Answer with a word.", "max_tokens": 12, "temperature": 0}
ids = {"extra_body": {"return_token_ids": True}}
whole = client.completions.create(**ask, **ids)
pieces = list(client.completions.create(**ask, **ids, stream=True, stream_options={"include_usage": True}))
streamed = [token for piece in pieces for choice in piece.choices for token in choice.token_ids]
check("completions, streamed as whole", streamed == whole.choices[0].token_ids)
check("completions, text", "".join(c.text for p in pieces for c in p.choices) == whole.choices[0].text)
check("completions, usage", pieces[-1].usage.completion_tokens == whole.usage.completion_tokens == len(streamed))
check("completions, cached tokens", whole.usage.prompt_tokens_details.cached_tokens == 0)
if text := whole.choices[0].text:
    middle = text[len(text) // 2]
    stopped = client.completions.create(**ask, stop=[middle])
    check("completions, stop", stopped.choices[0].text == text[: text.index(middle)] and stopped.choices[0].finish_reason == "stop")

ask = {"model": model, "messages": [{"role": "user", "content": "What is 2 + 3?"}], "max_completion_tokens": 60, "temperature": 0}
whole = client.chat.completions.create(**ask)
pieces = list(client.chat.completions.create(**ask, stream=True))
content = "".join(c.delta.content or "" for p in pieces for c in p.choices)
check("chat, streamed as whole", content == (whole.choices[0].message.content or ""))
again = [*ask["messages"], whole.choices[0].message.model_dump(exclude_none=False), {"role": "user", "content": "And 3 + 4?"}]
check("chat, an answer of ours sent back", client.chat.completions.create(**{**ask, "messages": again}).usage.prompt_tokens > 0)
told = client.chat.completions.create(**ask, logprobs=True, top_logprobs=2)
content = told.choices[0].logprobs.content
greedy = all(token.logprob >= max(other.logprob for other in token.top_logprobs) - 1e-6 for token in content)
check("chat, logprobs", len(content) == told.usage.completion_tokens and greedy)

# The demo calls nobody; what matters here is that the client's own forms are taken, streamed and whole.
weather = {"type": "function", "function": {"name": "get_weather", "description": "Of a place.", "parameters": {
    "type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}}}
ask = {"model": model, "messages": [{"role": "user", "content": "Warm in Bern?"}], "max_completion_tokens": 30, "temperature": 0}
call = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": '{"place": "Bern"}'}}
talk = [*ask["messages"], {"role": "assistant", "tool_calls": [call]}, {"role": "tool", "tool_call_id": "call_1", "content": "20 C"}]
plain = client.chat.completions.create(**ask)
offered = client.chat.completions.create(**ask, tools=[weather], tool_choice="auto")
answered = client.chat.completions.create(**{**ask, "messages": talk}, tools=[weather])
check("chat, tools are shown to the model", plain.usage.prompt_tokens < offered.usage.prompt_tokens < answered.usage.prompt_tokens)
pieces = list(client.chat.completions.create(**ask, tools=[weather], stream=True))
content = "".join(c.delta.content or "" for p in pieces for c in p.choices)
check("chat, tools, streamed as whole", content == (offered.choices[0].message.content or ""))

ask = {"model": model, "input": "What is 2 + 3?", "max_output_tokens": 60, "temperature": 0}
whole = client.responses.create(**ask)
events = list(client.responses.create(**ask, stream=True))
text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
check("responses, streamed as whole", text == whole.output_text and events[-1].response.usage == whole.usage)
sent = [{"role": "user", "content": ask["input"]}, *[item.model_dump() for item in whole.output], {"role": "user", "content": "?"}]
check("responses, ours sent back", client.responses.create(**{**ask, "input": sent}).usage.input_tokens > 0)
sys.exit(failed)
