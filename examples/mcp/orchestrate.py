#!/usr/bin/env python3
"""Three tools in a row: a wish becomes a task, the task becomes code, the code is reviewed.

    python3 orchestrate.py [http://127.0.0.1:8080/mcp]

Each answer is JSON of a known shape, so that the next step can be made of it without reading
between the lines. An answer that is cut off is a failure of that step, and ends its scenario.
"""

import sys

from client import ADDRESS, Client, Failed

SCENARIOS = {
    "a function": {"informal_request": "something that tells whether a word is a palindrome"},
    "a script": {
        "informal_request": "count how often each word occurs in a file",
        "context": "the file may be larger than memory",
    },
}


def run(client, wish):
    task = step(client, "formalize_task", wish)
    print(f"  task: {task['estimated_complexity']}, {len(task['requirements'])} requirements")
    requirements = "".join(f"\n- {line}" for line in task["requirements"])
    description = task["formalized_description"] + requirements
    code = step(client, "generate_code", {"description": description or wish["informal_request"]})
    print(f"  code: {len(code['code'])} characters of {code['language']}")
    review = step(client, "review_code", {"code": code["code"] or "pass"})
    issues = [issue["severity"] for issue in review["issues"]]
    print(f"  review: {review['overall_score']} of 100, issues: {', '.join(issues) or 'none'}")


def step(client, tool, arguments):
    """Calls a tool and shows how far it is."""
    return client.call(tool, arguments, lambda told: print(f"  {tool}: {told['message']}"))


def main(url=ADDRESS):
    client, failed = Client(url), 0
    for name, wish in SCENARIOS.items():
        print(f"{name}:")
        try:
            run(client, wish)
        except Failed as failure:
            failed += 1
            print(f"  failed: {str(failure).splitlines()[0]}")
    return f"{failed} of {len(SCENARIOS)} scenarios failed" if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:2]))
    except OSError as error:
        sys.exit(f"orchestrate.py: {error}")
