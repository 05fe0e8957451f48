// Requests for people who write programs, as text in three languages.

const MESSAGES = '[{"role": "user", "content": "Tell me a story."}]';

/** The languages by name, each with a function that writes the request. */
export const LANGUAGES = { curl: shell, Python: python, JavaScript: javascript };

/** A shell word that stands for exactly this text. */
const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function body(model) {
  const { id, host } = model;
  if (host?.task === "embed")
    return `{"model": ${JSON.stringify(id)}, "input": "Tell me a story."}`;
  if (host?.chat === false) {
    return `{"model": ${JSON.stringify(id)}, "prompt": "Once upon a time", "max_tokens": 64}`;
  }
  return `{"model": ${JSON.stringify(id)}, "messages": ${MESSAGES}}`;
}

function route(model) {
  if (model.host?.task === "embed") return "/embeddings";
  return model.host?.chat === false ? "/completions" : "/chat/completions";
}

function shell(base, model, needsKey) {
  const key = needsKey ? `  -H "Authorization: Bearer $HOST_API_KEY" \\\n` : "";
  return (
    `curl ${base}${route(model)} \\\n  -H 'Content-Type: application/json' \\\n${key}` +
    `  -d ${quoted(body(model))}`
  );
}

function python(base, model, needsKey) {
  const key = needsKey ? 'os.environ["HOST_API_KEY"]' : '"none"';
  const id = JSON.stringify(model.id);
  const head =
    `${needsKey ? "import os\n" : ""}from openai import OpenAI\n\n` +
    `client = OpenAI(base_url="${base}", api_key=${key})\n`;
  if (model.host?.task === "embed") {
    return (
      `${head}answer = client.embeddings.create(model=${id}, input="Tell me a story.")\n` +
      "print(answer.data[0].embedding)"
    );
  }
  if (model.host?.chat === false) {
    return (
      `${head}answer = client.completions.create(\n    model=${id},\n` +
      `    prompt="Once upon a time",\n    max_tokens=64,\n)\nprint(answer.choices[0].text)`
    );
  }
  return (
    `${head}stream = client.chat.completions.create(\n    model=${id},\n` +
    `    messages=${MESSAGES},\n    stream=True,\n)\nfor chunk in stream:\n` +
    `    print(chunk.choices[0].delta.content or "", end="", flush=True)`
  );
}

function javascript(base, model, needsKey) {
  const key = needsKey ? "    authorization: `Bearer ${process.env.HOST_API_KEY}`,\n" : "";
  const path = { "/embeddings": "data[0].embedding", "/completions": "choices[0].text" };
  const answer = path[route(model)] ?? "choices[0].message.content";
  return (
    `const response = await fetch("${base}${route(model)}", {\n  method: "POST",\n` +
    `  headers: {\n    "content-type": "application/json",\n${key}  },\n` +
    `  body: JSON.stringify(${body(model)}),\n});\n` +
    `const answer = await response.json();\nconsole.log(answer.${answer});`
  );
}
