# tests/system/dns_server.py -- a resolver on 127.0.0.1 that says what a test wrote into its table.
import socket
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

import harness


class DnsServer:
    """`table` maps (name, type) to a list of texts, as a zone file writes them. A thread of its own,
    between up() and down(); what is not in the table does not exist. `mood`: "answers", "fails",
    "silent"."""

    def __init__(self):
        self.port = harness.free_port()
        self.table = {}
        self.ttl = 60
        self.mood = "answers"
        self.asked = []
        self.socket = None
        self.thread = None

    @property
    def servers(self):
        return f"127.0.0.1:{self.port}"

    def up(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", self.port))
        self.socket.settimeout(0.1)
        self.thread = threading.Thread(target=self.serve, args=(self.socket,), daemon=True)
        self.thread.start()
        return self

    def down(self):
        served, self.socket = self.socket, None
        if served:
            self.thread.join(5)
            served.close()

    close = down

    def serve(self, served):
        while self.socket is served:
            try:
                question, client = served.recvfrom(4096)
            except TimeoutError:
                continue
            reply = self.reply(dns.message.from_wire(question))
            if reply:
                served.sendto(reply.to_wire(), client)

    def reply(self, question):
        asked = question.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind))
        if self.mood == "silent":
            return None
        reply = dns.message.make_response(question)
        reply.flags |= dns.flags.RA
        if self.mood == "fails":
            reply.set_rcode(dns.rcode.SERVFAIL)
        elif (name, kind) in self.table:
            reply.answer.append(dns.rrset.from_text(asked.name, self.ttl, "IN", kind,
                                                    *self.table[name, kind]))
        elif not any(known == name for known, _ in self.table):
            reply.set_rcode(dns.rcode.NXDOMAIN)
        return reply
