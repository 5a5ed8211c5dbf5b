#!/usr/bin/env python3
# tests/system/dns_test.py -- primaries and clients in the DNS, with a resolver of our own.
import json
import os
import subprocess
import time
import unittest

import dns_server
import harness
import peers
import sinks
import wire

MX_HOST = "127.77.0.1"  # "mx" means port 25; nobody else listens there
PROXY = "127.77.0.9"


class Dns(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.dns = self.managed(dns_server.DnsServer()).up()
        os.environ["BACKSTAY_DNS"] = self.dns.servers
        self.addCleanup(os.environ.pop, "BACKSTAY_DNS")
        self.sink = self.managed(sinks.RecordingSink())

    def start(self, primary, **domain):
        self.backstay = self.daemon(0)
        self.backstay.settings["domain"][0].update(primary=primary, **domain)
        self.backstay.write_config()
        self.backstay.start()

    def sink_at(self, host, port):
        sink = self.managed(sinks.RecordingSink(host=host, port=port))
        try:
            return sink.up()
        except PermissionError:
            self.skipTest(f"{host}:{port} cannot be listened on without privileges")

    def row(self):
        output = subprocess.run(
            [harness.binary("backstay"), "--endpoint", self.backstay.settings["admin"]["socket"],
             "primary", "list", "--json"], capture_output=True, text=True, timeout=20, check=True)
        return json.loads(output.stdout.splitlines()[0])

    def wait_for_state(self, state, reason):
        harness.wait_until(lambda: self.row()["state"] == state and reason in self.row()["reason"],
                           20, lambda: f"{state} ({reason}), but {self.row()}")

    def test_a_host_name_is_found_and_mail_goes_there(self):
        self.dns.table["primary.test", "A"] = ["127.0.0.1"]
        self.sink.up()
        self.start([f"primary.test:{self.sink.port}"])
        peers.swaks(self.backstay.port)
        self.sink.wait_for(1, 5)
        self.assertEqual(self.row()["state"], "up")
        self.assertIn(("primary.test", "AAAA"), self.dns.asked)

    def test_ipv6_alone(self):
        self.dns.table["primary.test", "AAAA"] = ["::1"]
        self.start([f"primary.test:{self.sink.port}"])
        self.sink_at("::1", self.sink.port)
        peers.swaks(self.backstay.port)
        harness.wait_until(lambda: self.row()["queued"] == 0, 5, "the mail went out")

    def test_mx_only_better_hosts_and_the_first_that_answers(self):
        better = self.sink_at(MX_HOST, 25)
        worse = self.sink_at("127.77.0.3", 25)
        self.dns.table["example.com", "MX"] = ["5 dead.test.", "10 better.test.",
                                               f"20 {harness.HOSTNAME}.", "30 worse.test."]
        self.dns.table["dead.test", "A"] = ["127.77.0.2"]
        self.dns.table["better.test", "A"] = [MX_HOST]
        self.dns.table["worse.test", "A"] = ["127.77.0.3"]
        self.start("mx")
        peers.swaks(self.backstay.port)
        better.wait_for(1, 5)
        self.assertEqual(worse.connections_seen, 0)

    def test_a_domain_whose_mx_vanishes_is_held_and_goes_on_when_it_is_back(self):
        better = self.sink_at(MX_HOST, 25)
        self.dns.table["example.com", "MX"] = ["0 ."]
        self.dns.table["better.test", "A"] = [MX_HOST]
        self.start("mx")
        peers.swaks(self.backstay.port)
        self.wait_for_state("held", "no-address")
        self.dns.table["example.com", "MX"] = ["10 better.test."]
        better.wait_for(1, 45)

    def test_addresses_outside_of_the_allowed_networks_are_never_connected(self):
        self.dns.table["primary.test", "A"] = ["127.0.0.1"]
        self.sink.up()
        self.start([f"primary.test:{self.sink.port}"], allowed_networks=["192.0.2.0/24"])
        peers.swaks(self.backstay.port)
        self.wait_for_state("held", "not-allowed")
        time.sleep(1)
        self.assertEqual(self.sink.connections_seen, 0)

    def test_a_mapped_address_is_the_one_it_means(self):
        self.dns.table["primary.test", "AAAA"] = ["::ffff:127.0.0.1"]
        self.sink.up()
        self.start([f"primary.test:{self.sink.port}"], allowed_networks=["127.0.0.0/8"])
        peers.swaks(self.backstay.port)
        self.sink.wait_for(1, 5)

    def test_a_name_that_leads_to_ourselves_is_not_followed(self):
        self.dns.table["primary.test", "A"] = ["127.0.0.1"]
        self.start(["placeholder.test"])
        self.backstay.stop()
        self.backstay.settings["domain"][0]["primary"] = [f"primary.test:{self.backstay.port}"]
        self.backstay.write_config()
        self.backstay.start()
        self.wait_for_state("held", "self")

    def test_a_restart_without_dns_knows_the_way(self):
        self.dns.table["primary.test", "A"] = ["127.0.0.1"]
        self.start([f"primary.test:{self.sink.port}"])
        files = os.path.join(self.backstay.spool, "primaries")
        harness.wait_until(lambda: os.listdir(files), 10, "it is written down")
        self.dns.down()
        self.backstay.kill()
        self.backstay.start()
        self.sink.up()
        peers.swaks(self.backstay.port)
        self.sink.wait_for(1, 5)

    def test_a_silent_resolver_keeps_nobody_waiting_but_the_mail(self):
        self.dns.mood = "silent"
        self.dns.table["primary.test", "A"] = ["127.0.0.1"]
        self.sink.up()
        self.start([f"primary.test:{self.sink.port}"])
        worst = 0
        for _ in range(20):
            before = time.monotonic()
            with wire.Wire(self.backstay.port) as client:
                client.hello()
            worst = max(worst, time.monotonic() - before)
            time.sleep(0.05)
        print(f"the slowest greeting beside a silent resolver took {worst * 1000:.1f} ms")
        self.assertLess(worst, 1)
        peers.swaks(self.backstay.port)
        self.wait_for_state("down", "dns")
        self.dns.mood = "answers"
        self.sink.wait_for(1, 60)

    def test_a_failing_resolver_is_named_in_the_log_once(self):
        self.dns.mood = "fails"
        self.start([f"primary.test:{self.sink.port}"])
        self.wait_for_state("down", "dns")
        time.sleep(12)  # asked again meanwhile
        self.assertEqual(self.backstay.log().count("cannot be asked"), 1)


class Clients(harness.SystemTest):
    """Behind a proxy, so that they have addresses of their own."""

    def setUp(self):
        super().setUp()
        self.dns = self.managed(dns_server.DnsServer()).up()
        os.environ["BACKSTAY_DNS"] = self.dns.servers
        self.addCleanup(os.environ.pop, "BACKSTAY_DNS")
        self.sink = self.managed(sinks.RecordingSink()).up()
        self.backstay = self.daemon(self.sink.port, {"smtp": {
            "proxy_protocol_from": [PROXY], "dnsbl": ["zen.test:2", "other.test"],
            "dnsbl_threshold": 2}}).start()

    def connect(self, client):
        connection = self.managed(wire.Wire(self.backstay.port, banner=False, source=PROXY))
        connection.send(f"PROXY TCP4 {client} 127.0.0.1 4000 25\r\n".encode())
        self.assertTrue(connection.reply().startswith(b"220"))
        connection.hello()
        connection.command(b"MAIL FROM:<s@load.test>")
        return connection

    def test_a_listed_client_is_refused_by_name_of_the_list(self):
        self.dns.table["66.2.0.192.zen.test", "A"] = ["127.0.0.4"]
        self.dns.table["66.2.0.192.zen.test", "TXT"] = ['"see http://zen.test/66"']
        client = self.connect("192.0.2.66")
        self.assertEqual(client.command(b"RCPT TO:<a@example.com>").strip(),
                         b"550 5.7.1 192.0.2.66 is listed by zen.test: see http://zen.test/66")
        self.assertTrue(client.command(b"RCPT TO:<postmaster@example.com>").startswith(b"250"))

    def test_too_little_weight_is_no_refusal_and_a_name_is_confirmed(self):
        self.dns.table["7.2.0.192.other.test", "A"] = ["127.0.0.2"]
        self.dns.table["7.2.0.192.in-addr.arpa", "PTR"] = ["client.test."]
        self.dns.table["client.test", "A"] = ["192.0.2.7"]
        client = self.connect("192.0.2.7")
        self.assertTrue(client.command(b"RCPT TO:<a@example.com>").startswith(b"250"))
        time.sleep(0.5)  # nobody waits for a name
        client.command(b"DATA")
        self.assertTrue(client.command(b"Subject: x\r\n\r\nx\r\n.").startswith(b"250"))
        self.sink.wait_for(1, 5)
        self.assertRegex(self.sink.messages[0].content,
                         rb"\AReceived: from \S+ \(client\.test \[192\.0\.2\.7\]\)")

    def test_a_list_that_refuses_us_is_named_in_the_log_once(self):
        for host in (66, 67):
            self.dns.table[f"{host}.2.0.192.zen.test", "A"] = ["127.255.255.254"]
            client = self.connect(f"192.0.2.{host}")
            self.assertTrue(client.command(b"RCPT TO:<a@example.com>").startswith(b"250"))
        self.assertEqual(self.backstay.log().count("dnsbl: zen.test answers 127.255.255.254"), 1)

    def test_a_client_without_a_name_is_put_off_and_a_word_is_no_name(self):
        self.backstay.stop()
        self.backstay.settings["smtp"]["client_checks"] = ["reverse_dns", "helo"]
        self.backstay.write_config()
        self.backstay.start()
        self.dns.table["7.2.0.192.in-addr.arpa", "PTR"] = ["client.test."]
        self.dns.table["client.test", "A"] = ["192.0.2.7"]
        client = self.connect("192.0.2.7")
        self.assertTrue(client.command(b"RCPT TO:<a@example.com>").startswith(b"250"))
        self.assertTrue(client.command(b"RSET").startswith(b"250"))
        client.command(b"EHLO localhost")
        client.command(b"MAIL FROM:<s@load.test>")
        self.assertEqual(client.command(b"RCPT TO:<a@example.com>").strip(),
                         b"504 5.5.2 localhost: not a fully qualified host name")
        self.assertTrue(client.command(b"RCPT TO:<postmaster@example.com>").startswith(b"250"))
        self.dns.table["8.2.0.192.in-addr.arpa", "PTR"] = ["client.test."]
        self.assertEqual(self.connect("192.0.2.8").command(b"RCPT TO:<a@example.com>").strip(),
                         b"450 4.7.25 192.0.2.8 has no name that points back to it")

    def test_a_silent_resolver_costs_two_seconds_once_and_nobody_their_mail(self):
        self.dns.mood = "silent"
        client = self.connect("192.0.2.8")
        before = time.monotonic()
        self.assertTrue(client.command(b"RCPT TO:<a@example.com>").startswith(b"250"))
        self.assertLess(time.monotonic() - before, 3)
        before = time.monotonic()
        self.assertTrue(client.command(b"RCPT TO:<b@example.com>").startswith(b"250"))
        self.assertLess(time.monotonic() - before, 1)
        client.command(b"DATA")
        self.assertTrue(client.command(b"Subject: x\r\n\r\nx\r\n.").startswith(b"250"))
        self.sink.wait_for(1, 5)
        self.assertIn(b"(unknown [192.0.2.8])", self.sink.messages[0].content)


if __name__ == "__main__":
    unittest.main(verbosity=2)
