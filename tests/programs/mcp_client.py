"""An independent client of `askance mcp`: the Python SDK. Plays one scenario, prints what came of it as JSON.

usage: mcp_client.py MODE SCENARIO COMMAND [ARG...]        MODE: a protocol version, or `legacy`
       mcp_client.py MODE SCENARIO http URL TOKEN
"""

import json
import sys

import anyio
import httpx2
import mcp_types as types
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

asked = []


def person(choice):
    """Answers every question with one of its options; `None` declines."""

    async def answer(context, params):
        asked.append(params.message)
        if choice is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content={"answer": choice})

    return answer


def told(result):
    text = "".join(part.text for part in result.content)
    return {"error": bool(result.is_error), "text": text, "structured": result.structured_content}


async def files(client):
    calls = [
        ("write_file", {"path": "sub/f", "content": "one\ntwo\n", "create_directories": True}),
        ("edit_file", {"path": "sub/f", "old_text": "two", "new_text": "2"}),
        ("apply_patch", {"patch": "--- a/sub/f\n+++ b/sub/f\n@@ -1,2 +1,2 @@\n-one\n+1\n 2\n"}),
        ("read_file", {"path": "sub/f"}),
        ("list_directory", {"path": "sub"}),
        ("read_file", {"path": "sub/f", "surprise": 1}),
        ("check_command", {"command": "rm -rf ~"}),
    ]
    return [told(await client.call_tool(name, arguments)) for name, arguments in calls]


async def tools(client):
    listed = (await client.list_tools()).tools
    return {tool.name: [tool.annotations.read_only_hint, tool.annotations.destructive_hint, tool.input_schema] for tool in listed}


async def command(client, line):
    return told(await client.call_tool("run_command", {"command": line}))


async def progress(client):
    seen = []

    async def note(progress, total, message):
        seen.append(progress)

    result = await client.call_tool(
        "run_command", {"command": "for i in 1 2 3 4; do echo $i; sleep 0.3; done"}, progress_callback=note
    )
    return {"seen": seen, **told(result)}


async def cancel(client, line):
    with anyio.move_on_after(1.0):
        await client.call_tool("run_command", {"command": line})
    # The server goes on serving.
    return told(await client.call_tool("run_command", {"command": "echo still here"}))


async def many(client):
    results = {}

    async def one(number):
        results[number] = told(await client.call_tool("run_command", {"command": f"sleep 0.2; echo {number}"}))["text"]

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(one, number)
    return [results[number] for number in range(8)]


async def elsewhere(client, where):
    asked = {"command": "pwd; echo planted > planted", "cwd": where}
    return told(await client.call_tool("run_command", asked))


async def play(client, scenario):
    name, _, rest = scenario.partition(":")
    if name in ("yes", "no", "nobody"):
        return await command(client, rest)
    if name == "elsewhere":
        return await elsewhere(client, rest)
    return await {"files": files, "tools": tools, "progress": progress, "many": many}.get(
        name, lambda client: cancel(client, rest)
    )(client)


async def main(mode, scenario, server):
    choice = {"yes": "once", "no": None}.get(scenario.partition(":")[0], "nobody")
    callback = None if choice == "nobody" else person(choice)
    if server[0] == "http":
        headers = {"Authorization": f"Bearer {server[2]}"} if server[2] else {}
        http = httpx2.AsyncClient(headers=headers)
        target = streamable_http_client(server[1], http_client=http)
    else:
        target = StdioServerParameters(command=server[0], args=server[1:], env=dict(__import__("os").environ))
    async with Client(target, mode=mode, elicitation_callback=callback) as client:
        result = await play(client, scenario)
    print(json.dumps({"result": result, "asked": asked}))


anyio.run(main, sys.argv[1], sys.argv[2], sys.argv[3:])
