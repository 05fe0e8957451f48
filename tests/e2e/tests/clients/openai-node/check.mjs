// OpenAI's Node.js client against a host: chats, tools, formats, embeddings, responses, errors.
// Needs BASE_URL, MODEL (a chat model) and EMBED_MODEL; what an answer says is not looked at.

import assert from "node:assert/strict";
import OpenAI from "openai";

const { BASE_URL, MODEL, EMBED_MODEL } = process.env;
const client = new OpenAI({
  baseURL: `${BASE_URL}/v1`,
  apiKey: "none",
  timeout: 60_000,
  maxRetries: 0,
});
const chat = {
  model: MODEL,
  messages: [{ role: "user", content: "Tell me of a dog." }],
  temperature: 0,
};
const colours = {
  type: "object",
  properties: { colour: { enum: ["red", "green"] } },
  required: ["colour"],
  additionalProperties: false,
};

async function models() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert(ids.includes(MODEL) && ids.includes(EMBED_MODEL), String(ids));
}

async function chats() {
  const ask = { ...chat, max_tokens: 24 };
  const whole = await client.chat.completions.create(ask);
  const said = whole.choices[0].message.content;
  const stream = await client.chat.completions.create({ ...ask, stream: true });
  let text = "";
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
  assert(said.length > 0);
  assert.equal(text, said);
}

async function tools() {
  const ask = {
    ...chat,
    max_tokens: 200,
    tools: [{ type: "function", function: { name: "paint", parameters: colours } }],
    tool_choice: { type: "function", function: { name: "paint" } },
  };
  const whole = await client.chat.completions.create(ask);
  const streamed = await client.chat.completions.stream(ask).finalChatCompletion();
  const [one, other] = [whole, streamed].map((answer) => answer.choices[0].message.tool_calls[0]);
  assert.equal(one.function.name, "paint");
  assert(["red", "green"].includes(JSON.parse(one.function.arguments).colour));
  assert.deepEqual(one.function.arguments, other.function.arguments);
}

async function format() {
  const json_schema = { name: "colours", strict: true, schema: colours };
  const response_format = { type: "json_schema", json_schema };
  const answer = await client.chat.completions.parse({ ...chat, max_tokens: 200, response_format });
  const { colour } = JSON.parse(answer.choices[0].message.content);
  assert(["red", "green"].includes(colour));
}

async function embeddings() {
  const ask = { model: EMBED_MODEL, input: ["a dog", "a small dog"] };
  // Without an encoding the client asks for base64 and decodes it.
  const decoded = await client.embeddings.create(ask);
  const floats = await client.embeddings.create({ ...ask, encoding_format: "float" });
  for (const { embedding, index } of floats.data) {
    const other = decoded.data[index].embedding;
    assert(embedding.length > 0 && embedding.length === other.length);
    assert(embedding.every((value, at) => Math.abs(value - other[at]) < 1e-6));
  }
}

async function responses() {
  const ask = { model: MODEL, input: "Tell me of a dog.", temperature: 0, max_output_tokens: 24 };
  const whole = await client.responses.create(ask);
  let text = "";
  for await (const event of await client.responses.create({ ...ask, stream: true })) {
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  assert(text.length > 0);
  assert.equal(text, whole.output_text);
}

async function errors() {
  const ask = (change) => client.chat.completions.create({ ...chat, max_tokens: 4, ...change });
  await assert.rejects(ask({ model: "nobody" }), OpenAI.NotFoundError);
  await assert.rejects(ask({ temperature: 9 }), OpenAI.BadRequestError);
  await assert.rejects(ask({ messages: [] }), OpenAI.BadRequestError);
}

for (const check of [models, chats, tools, format, embeddings, responses, errors]) {
  await check();
  console.log("ok", check.name);
}
