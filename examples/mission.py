#!/usr/bin/env python3
"""A mission of five commands through `askance serve`; questions are answered by rule.

usage: mission.py ASKANCE WORKSPACE
"""
import json
import subprocess
import sys

COMMANDS = [
    "pwd",
    "mkdir -p build && echo one > build/a",
    "wc -c build/a",
    "cat ~/.ssh/id_x",
    "rm -rf ~",
]


def rule(question):
    """Reading a key is never right; everything else only once, and an interlock never."""
    details = question["details"]
    secret = "/.ssh/" in details["target"]
    return "deny" if secret or details["kind"] == "exec" else "once"


class Client:
    def __init__(self, askance):
        argv = [askance, "serve", "--stdio"]
        self.server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.next = 0
        self.call("initialize", protocolVersion=1)

    def send(self, **message):
        self.server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.server.stdin.flush()

    def call(self, method, **params):
        self.next += 1
        self.send(id=self.next, method=method, params=params)
        return self.until(lambda message: message.get("id") == self.next and "method" not in message)["result"]

    def until(self, fits):
        for line in self.server.stdout:
            message = json.loads(line)
            if message.get("method") == "session/request_permission":
                answer = {"outcome": "selected", "optionId": rule(message["params"])}
                self.send(id=message["id"], result={"outcome": answer})
            elif message.get("method") == "command/output":
                print(message["params"].get("text", ""), end="")
            if fits(message):
                return message
        raise SystemExit("the server went away")


client = Client(sys.argv[1])
session = client.call("session/new", workspace=sys.argv[2], level="high")["sessionId"]
for command in COMMANDS:
    client.call("command/run", sessionId=session, command=command)
    ended = client.until(lambda message: message.get("method") == "command/exited")["params"]
    print(f"{ended['status']}: {command}")
