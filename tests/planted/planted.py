#!/usr/bin/env python3
"""Plants known bugs, one at a time, in a copy of the source, and sees the tests fail.

    planted.py [--list] [--check] [--only NAME …] [--shuffle] [--seconds N]

A test that no bug can fail proves nothing. Each bug is a replacement of text that must be there exactly once; it counts
as caught when the named tests no longer pass. `--check` only sees that each text is there, which takes no time. `--seconds` stops planting when the time is used up (the rest is named).
Prints `caught NAME by TEST` lines, and `N passed, N failed` alone on the last line.
"""
import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SRC = "crates/sluicegate/src/"

LOGINS, ORIGINS, POOLS = "--test suite logins::", "--test suite origins::", "--test suite pools::"
# What catches those of the rules, and of what the binary makes of them.
RULES = "-p sluicegate-rules"
EGRESS, WHO = "-p sluicegate-cli --test cli egress::", "-p sluicegate-cli --test cli logins::"

CROWDS = "--test suite crowds::"
SINK = "-p sluicegate-cli --bins access_log::sink"

# (name, promise, file, text, replacement[, what catches it]): the file from crates/sluicegate/src, or from the root if it
# begins with crates/. What catches it are arguments of cargo test; without any, the library's own tests (--lib).
BUGS = [
    ("no-hangup-watch", "promptness", "serve/exchange/wait.rs",
     "        how = client.hangup(watch) => Interrupted::Gone(how),\n        alarm",
     "        alarm"),
    ("half-close-ignored", "promptness", "serve/exchange/wait.rs", "ClientFin::Allow => Watch::Reset", "ClientFin::Allow => Watch::Fin"),
    ("eager-read-without-limit", "bound", "pipe/buffer.rs",
     "self.raw.end >= self.pool.size && !self.can_compact()", "self.raw.end > self.pool.size"),
    ("buffer-one-larger", "bound", "pipe/buffer.rs", "vec![0; self.size]", "vec![0; self.size + 1]"),
    ("compaction-loses-a-byte", "truth", "pipe/buffer.rs",
     "self.bytes.copy_within(front..self.raw.end, 0);", "self.bytes.copy_within(front + 1..self.raw.end, 0);"),
    ("gap-not-closed", "truth", "pipe/buffer.rs", "} else if self.ready.end == payload.start {", "} else if self.ready.end <= payload.start {"),
    ("early-end", "truth", "pipe.rs",
     "self.is_received() && self.encoder.is_ended() && !self.has_output() && self.buffer.ready().is_empty()",
     "self.is_received() && self.encoder.is_ended()"),
    ("chunk-size-not-kept", "truth", "crates/http1/src/encode.rs",
     "let more = here.min(usize::try_from(chunk.owed).unwrap_or(usize::MAX));", "let more = here;"),
    ("chunk-ends-before-it-has-come", "truth", "crates/http1/src/encode.rs",
     "Self::Chunked(Chunks::Inside(Chunk { suffix, late: false, .. })) => suffix,",
     "Self::Chunked(Chunks::Inside(Chunk { suffix, .. })) => suffix,"),
    ("pipe-is-refilled", "bound", "pipe.rs",
     "            && self.buffer.held() == 0\n            && !self.has_output()", "            && self.buffer.held() == 0"),
    ("pipe-is-not-counted", "truth", "pipe.rs", "        self.body.advance(n as u64);\n", ""),
    ("pipe-is-spent-twice", "truth", "pipe.rs", "self.given == 0 && self.in_kernel_pipe() == 0", "self.given == 0"),
    ("slow-reader-keeps-its-pipe", "bound", "pipe.rs", "    pub(crate) fn slow_down(&mut self) {\n        self.fast = 0;",
     "    pub(crate) fn slow_down(&mut self) {"),
    ("head-left-staged", "truth", "pipe.rs",
     "    pub(crate) fn unstage(&mut self) {\n        self.stage.clear();", "    pub(crate) fn unstage(&mut self) {"),
    ("truncation-is-an-end", "truth", "pump.rs",
     "        pipe.end_of_input().map_err(End::Truncated)?;", "        if pipe.end_of_input().is_err() { return Err(End::Sink); }"),
    ("order-lost", "order", "serve/own.rs",
     "given = pump::deliver(pipe, supply, client, lane) => given,", "given = std::future::ready(Ok(())) => given,"),
    ("own-answer-unwatched", "pause", "serve/own.rs",
     "let given = attend(cx.client, self.request, limits, cx.flow, giving).await;", "let given = Ok::<_, Stop>(giving.await);"),
    ("an-arm-starves", "no arm starves", "pump.rs", "self.moves >= MOVES || self.bytes >= BYTES", "self.moves > MOVES && self.bytes == 0"),
    ("a-connection-starves", "no arm starves", "pump.rs", "        if lane.is_spent() {\n", "        if lane.is_spent() && lane.blocked_for().as_secs() > 99 {\n"),
    ("deadline-extended-by-interim", "end", "pump.rs",
     "            pipe.received(n);\n            lane.took(n);", "            pipe.received(n);\n            lane.touch();\n            lane.took(n);"),
    ("dropped-framing-extends", "end", "pump.rs",
     "            if gave.is_some() {\n                lane.touch();\n            }", "            lane.touch();"),
    ("later-not-raced", "end", "origin/dial.rs", "more = &mut later, if awaited =>", "more = &mut later, if awaited && running.is_empty() =>"),
    ("deadline-never-extended", "end", "flow.rs",
     "    pub(crate) fn touch(&self) {\n", "    pub(crate) fn touch(&self) {\n        if self.deadline.load(Relaxed) != deadline::NEVER && self.requests.load(Relaxed) == 0 { return; }\n"),
    ("no-deadline", "end", "flow.rs", "(self.deadline.load(Relaxed) <= self.clock.millis()).then_some", "(self.deadline.load(Relaxed) < 1).then_some"),
    ("the-wrong-one-is-blamed", "end", "serve/exchange/blame.rs", "(_, Sent::Whole, ..) => Fault::ResponseTimeout", "(_, Sent::Whole, ..) => Fault::RequestTimeout"),
    ("own-pause-is-blamed", "end", "serve/exchange/blame.rs", "            (_, _, _, Some(Limit | Budget)) => Fault::Capacity,\n", ""),
    ("allowance-is-not-kept", "bound", "pipe.rs", "let least = granted.min(room.len());", "let least = room.len();"),
    ("allowance-has-a-way-around", "bound", "pipe.rs", "unwrap_or(usize::MAX).min(self.granted);", "unwrap_or(usize::MAX);"),
    ("who-starves-is-not-woken", "end", "flow.rs", "rings || starves(self.upward()) || starves(self.downward())", "let _ = starves; rings"),
    ("idle-keeps-its-memory", "bound", "front/h1/idle.rs", "        self.working.memory.give_back();\n        self.shrink();", "        self.shrink();"),
    ("idle-keeps-its-buffer", "bound", "pipe/buffer.rs", 
     "if self.is_lent() && self.held() == 0 {", "if self.bytes.len() == 1 && self.held() == 0 {"),
    ("abort-says-fin", "truth", "transport/tcp.rs", "            write.forget();", "            drop(write);"),
    ("extra-bytes-are-reused", "truth", "serve/exchange.rs",
     "let origin_persists = sent && untouched &&", "let origin_persists = sent && (untouched || sent) &&"),
    ("interim-without-limit", "bound", "serve/exchange.rs", "interim.count(self.head.bytes().len(), self.flow.now())", "interim.count(0, self.flow.now())"),
    ("ended-twice", "order", "serve/story.rs",
     "let Some(began) = self.began.take() else { return };", "let Some(began) = &self.began else { return };"),
    ("tuples-known-by-place", "order", "record/members.rs", "self.0.iter().filter(|mark| mark.tuple == tuple);",
     "self.0.iter().filter(|mark| mark.tuple.0 == tuple.0);", "--test suite composing::"),
    ("asked-twice-told-as-last", "order", "record/members.rs", "Some(mark) if members > 1 =>", "Some(mark) =>", "--test suite composing::"),
    ("everybody-is-told", "order", "policy/compose.rs", "if asked > $place && ", "if asked < usize::MAX && $place < usize::MAX && ",
     "--test suite composing::"),
    ("ended-not-told-when-dropped", "order", "serve/story.rs", "if self.began.is_some() {", "if self.began.is_none() {"),
    ("admit-too-early", "order", "serve/own.rs",
     "let given = attend(cx.client, self.request, limits, cx.flow, giving).await;",
     "let given = { drop(giving); if limits.client_buffer > 0 { Ok(Ok(())) } else { Err(Stop::Aborted) } };"),
    ("policy-unwatched", "promptness", "serve.rs",
     "attend(cx.client, self.request, limits, cx.flow, deciding).await\n", "Ok(deciding.await)\n"),
    ("push-ignores-pause", "pause", "pump/source.rs",
     "(!state.gone).then_some(state.piece.is_empty())", "(!state.gone).then_some(true)"),
    ("longer-than-promised", "truth", "pump/source.rs",
     "            if self.left != Some(0) || n == 0 {", "            if self.left != Some(0) || n != 1 {"),
    ("prefix-is-not-decoded", "prefix", "crates/http1/src/path.rs", "if !decoded(segment).eq(wanted.bytes()) {", "if segment != wanted.as_bytes() {",
     "-p sluicegate-http1 --test suite paths::"),
    ("second-decoding-unseen", "prefix", "crates/http1/src/path.rs", "            b'%' => is_double(after),\n", "", "-p sluicegate-http1 --test suite paths::"),
    ("overlong-is-read", "prefix", "crates/http1/src/path.rs", "byte.is_ascii_control() || is_overlong(before, byte)", "byte.is_ascii_control()",
     "-p sluicegate-http1 --test suite paths::"),
    ("dots-behind-a-query", "prefix", "crates/http1/src/path.rs", "let whole: Vec<u8> = decoded(raw).collect();",
     "let whole: Vec<u8> = decoded(raw).take_while(|byte| !matches!(byte, b'?' | b'#')).collect();", "-p sluicegate-http1 --test suite paths::"),
    ("one-reading-of-a-path", "prefix", "policy/reverse.rs", "if found.map(|(mount, _)| &mount.prefix) != other.map(|mount| &mount.prefix) {",
     "if found.is_none() && other.is_some() {", "--test suite reverse::"),
    ("path-becomes-a-host", "prefix", "policy/reverse.rs", "let start = rest.iter().position(|byte| *byte != b'/').unwrap_or(rest.len());",
     "let start = usize::from(rest.starts_with(b\"/\"));", "--test suite reverse::"),
    ("disguise-is-kept", "who it is for", "message/whom.rs", "is_odd && (self.odd || another)", "is_odd && self.odd"),
    ("underscores-are-plain", "who it is for", "message/whom.rs", "&& *byte != b'-';", "&& *byte != b'-' && *byte != b'_';"),
    ("kin-is-passed", "who it is for", "message/whom.rs", "self.told && told ||", "self.told && told && is_odd ||"),
    ("families-are-passed", "who it is for", "message/whom.rs", "read != RFC7239 && is_kin(read)", "read != RFC7239 && is_kin(b\"\")"),
    ("trailers-are-passed", "who it is for", "message/edits.rs", "(!self.changes.is_empty() || self.unwanted.is_some()).then_some(self)",
     "(!self.changes.is_empty()).then_some(self)", "--test suite reverse::"),
    ("words-behind-nonsense-go-on", "truth", "serve/own.rs", "        if is_last { worded.last() } else { worded }", "        if is_last { worded } else { worded.last() }",
     "--test suite failures::"),
    ("cannot-tell-is-no", "guard", "crates/cli/src/rules.rs", "            Err(_) => Err(Fault::Capacity),", "            Err(_) => Ok(()),",
     "-p sluicegate-cli --bins rules::"),
    ("cannot-tell-is-yes", "guard", "worker.rs", "            _ => Err(error),", "            _ => Ok(true),", "-p sluicegate-cli --test cli rules::"),
    ("one-layout-of-nat64", "guard", "crates/rules/src/carried.rs",
     "let all = lengths.map(", "let all = lengths.rev().take(1).map(", "-p sluicegate-cli --bins rules::"),
    ("one-reading-is-enough", "guard", "crates/cli/src/rules.rs",
     "        self.judge(destination, None, is_guarded)?;\n        carried(destination).try_for_each(",
     "        self.judge(destination, None, is_guarded)?;\n        carried(destination).take(1).try_for_each(",
     "-p sluicegate-cli --bins rules::"),
    ("allowance-beats-denial", "guard", "crates/cli/src/rules.rs", "denied >= allowed", "denied > allowed",
     "-p sluicegate-cli --bins rules::"),
    ("silent-tunnel-keeps-its-share", "bound", "serve/tunnel.rs", "        share.give_back();\n", "", "--test suite places::"),
    ("half-closed-tunnel-keeps-its-share", "bound", "serve/tunnel.rs", "flow.rests(moved, || open.ended())", "flow.rests(moved, || 0)",
     "--test suite places::"),
    ("tunnel-reads-without-its-share", "bound", "serve/tunnel.rs", "            share.take().await;\n", "", "--test suite places::"),
    ("empty-lines-keep-their-share", "bound", "front/h1/head.rs",
     "            Ok(false) if self.head.is_empty() => self.working.memory.give_back(),\n", "", "--test suite places::"),
    ("tunnel-outlives-its-client", "end", "serve/tunnel.rs",
     "limits.half_closed_timeout.into_iter().chain(short).min()", "limits.half_closed_timeout.or(short)", "--test suite places::"),
    ("dropped-looks-complete", "truth", "front/h1.rs",
     "        if !self.0.flow.owes_nothing() {\n", "        if !self.0.flow.owes_nothing() && std::thread::panicking() {\n", "--test suite dropped::"),
    ("dropped-looks-complete-to-the-origin", "truth", "transport/cut.rs",
     "        self.0.abort();", "        let _ = self.0;", "--test suite dropped::"),
    ("one-runtime-keeps-the-time", "end", "worker.rs", "if kept.contains(&runtime) {", "if !kept.is_empty() {", "--test suite embedding::"),
    ("upgrade-unasked", "truth", "serve/exchange.rs", ".is_some_and(|offers| offers.contains(one.value))", ".is_none_or(|offers| offers.contains(one.value))"),
    ("upgrade-unoffered", "truth", "serve/exchange.rs", ".is_some_and(|offers| offers.contains(one.value))", ".is_some_and(|_| !one.value.is_empty())"),
    ("upgrade-in-mid-request", "truth", "serve/exchange.rs", "|| !self.has_sent().await {", "{"),
    ("deny-does-not-beat-allow", "rules", "crates/rules/src/decide.rs",
     "            Tally { denied: Some(entry), .. } => found(Reason::Denied, entry),\n            Tally { allowed: Some(entry), .. } => found(Reason::Allowed, entry),",
     "            Tally { allowed: Some(entry), .. } => found(Reason::Allowed, entry),\n            Tally { denied: Some(entry), .. } => found(Reason::Denied, entry),",
     RULES),
    ("star-matches-the-apex", "rules", "crates/rules/src/entry.rs", "            Self::Below => !exact,", "            Self::Below => true,", RULES),
    ("guard-off-for-mapped-forms", "rules", "crates/rules/src/decide.rs",
     "        let address = address.to_canonical();\n        let decision =", "        let decision =", RULES),
    ("guard-blind-to-nat64", "rules", "crates/rules/src/carried.rs", "        found.well_known(v6);\n", "", RULES),
    ("literal-needs-no-entry", "rules", "crates/rules/src/decide.rs",
     "_ if matches!(request.host, Host::Address(_)) => Found { reason: Reason::Literal, entry: None },",
     "_ if self.has_allow && matches!(request.host, Host::Address(_)) => Found { reason: Reason::Literal, entry: None },", RULES),
    ("empty-allow-opens", "rules", "crates/rules/src/rules/compile.rs",
     "let has_list = |rule: &RuleDraft| (rule.allow.is_some(),", "let has_list = |rule: &RuleDraft| (rule.allow.as_ref().is_some_and(|(list, _)| !list.is_empty()),", RULES),
    ("method-guessed-in-a-tunnel", "rules", "crates/rules/src/decide.rs", "            (Some(_), None) => Meets::Hidden,", "            (Some(_), None) => Meets::Yes,", RULES),
    ("query-before-the-verdict", "rules", "crates/cli/src/policies/judge.rs", "            Ok(Some(denial)) => {\n",
     "            Ok(Some(_)) if !request.path_and_query().is_empty() && request.ip().is_none() => Route::target().into(),\n            Ok(Some(denial)) => {\n", EGRESS),
    ("upgrade-unjudged", "rules", "crates/cli/src/policies/judge.rs", "        let rules = self.egress.rules();\n        // Boxed",
     "        if request.field(\"upgrade\").is_some() {\n            return Route::target().into();\n        }\n        let rules = self.egress.rules();\n        // Boxed", EGRESS),
    ("bad-reload-loses-the-rules", "rules", "crates/cli/src/egress.rs", "file::load(&self.files)?);",
     "file::load(&self.files).or_else(|_| Rules::read(\"\", \"\").map_err(|_| String::new()))?);", EGRESS),
    ("secret-is-shown", "rules", "crates/rules/src/source.rs", "            shown = stars(&shown, from, end);\n", "", RULES),
    ("wrong-password-is-remembered-as-right", "rules", "crates/cli/src/egress/logins.rs", "known.insert(digest, is_right)", "known.insert(digest, true)", WHO),
    ("password-outlives-its-rules", "rules", "crates/cli/src/egress/logins.rs", "is_some_and(|mine| Arc::ptr_eq(mine, rules))", "is_some_and(|mine| Arc::ptr_eq(mine, rules) || mine.users().count() > 0)", WHO),
    ("from-is-not-required", "rules", "crates/cli/src/egress/logins.rs", "user.from().is_empty() ||", "!user.name().is_empty() ||", WHO),
    ("phrase-without-limit", "rules", "crates/rules/src/denial.rs", "            if phrase.len() <= LONGEST_PHRASE {", "            if phrase.len() <= 4096 {", RULES),
    ("login-is-lent", "reuse", "origin/reuse/kept.rs", "            self.lending = Lending::Client;", "", LOGINS),
    ("login-ends-when-idle", "reuse", "origin/reuse/kept.rs",
     "let ours = if self.has_login { Duration::MAX } else { idle };", "let ours = idle;", LOGINS),
    ("login-outlives-its-client", "reuse", "front/h1.rs", "        self.worker.origins.leave(&self.flow);\n", "", LOGINS),
    ("challenge-unread", "reuse", "serve/exchange.rs", "self.told.binds |= login::response_binds(self.head);", "", LOGINS),
    ("credentials-unread", "reuse", "serve/relay.rs", "login::request_binds(head) || edits", "edits", LOGINS),
    ("added-credentials-unread", "reuse", "serve/relay.rs", " || edits.is_some_and(Edits::bind);", ";", LOGINS),
    ("scheme-in-second-place-unread", "reuse", "crates/http1/src/login.rs", "        rest = behind;", "        let _ = behind; rest = b\"\";",
     "-p sluicegate-http1 --test suite logins::"),
    ("connector-is-everybodys", "reuse", "origin.rs", "{ Lending::Anyone } else { Lending::Client }", "{ Lending::Anyone } else { Lending::Anyone }",
     POOLS),
    ("pool-is-lost", "reuse", "policy/route.rs", "            (one, another) => one.or(another),", "            (one, _) => one,",
     POOLS),
    ("pipelined-unasked", "reuse", "serve/relay.rs", "let peek = !idempotent || self.is_pipelined;", "let peek = !idempotent;", ORIGINS),
    ("stale-looks-idle-when-busy", "reuse", "transport/tcp.rs",
     "pin!(tokio::task::unconstrained(poll_fn(|cx| stream.poll_read_ready(cx))));", "pin!(poll_fn(|cx| stream.poll_read_ready(cx)));"),
    ("slow-reader-is-given-up", "end", "transport/tcp.rs", "SockRef::from(stream).set_tcp_user_timeout(None);", "SockRef::from(stream).tcp_user_timeout();"),
    ("upload-is-given-up", "end", "serve/relay.rs", "            origin.sends(asks.framing);\n", "", "--test suite vanished::"),
    ("tunnel-is-given-up", "end", "serve/tunnel.rs", "        origin.wait_for_reader();\n", "", "--test suite vanished::"),
    ("nobody-is-asked", "end", "transport/tcp.rs", "        let _ = socket.set_tcp_keepalive(&probes(silence));", "        let _ = probes(silence);"),
    ("ports-used-up-is-the-origin", "blame", "origin/dial.rs",
     "io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock => Fault::Capacity,",
     "io::ErrorKind::AddrInUse | io::ErrorKind::WouldBlock => Fault::Capacity,"),
    ("shortage-is-forgotten", "blame", "origin/dial.rs", "before.filter(|before| *before == Fault::Capacity).unwrap_or(now)", "before.filter(|_| false).unwrap_or(now)"),
    ("late-408-is-an-answer", "reuse", "serve/exchange.rs", "408 if self.may_repeat && !self.told.heard => {", "499 if self.may_repeat && !self.told.heard => {", ORIGINS),
    ("post-repeated-after-408", "reuse", "serve/relay.rs",
     "to, &origin.stream, reused && idempotent).await;", "to, &origin.stream, reused).await;", ORIGINS),
    ("keep-alive-unheard", "reuse", "origin/reuse/kept.rs",
     "self.origin_keeps = said.timeout.map(Duration::from_secs).or(self.origin_keeps);", "let _ = &self.origin_keeps;", ORIGINS),
    ("hosts-asked-late", "names", "origin/names.rs",
     "if let Some(addresses) = known.hosts.get(key) {", "if let Some(addresses) = known.hosts.get(key).filter(|some| some.len() > 9) {"),
    ("strangers-answer-counts", "names", "origin/names/message.rs", "header.metadata.id == self.id && ", ""),
    ("look-ups-not-joined", "names", "origin/joined.rs", "running.peek().is_none().then_some(Running(running))", "running.peek().is_some().then_some(Running(running))"),
    ("one-refusal-is-the-end", "names", "origin/names/search.rs",
     "Err(next @ (Failure::Unreachable(_) | Failure::Silent | Failure::Rejected { .. })) => {", "Err(next @ (Failure::Unreachable(_) | Failure::Silent)) => {"),
    ("failed-reading-forgets", "names", "origin/names/files.rs",
     "(Unreadable, if before == Unknown { Look::Text(Vec::new()) } else { Look::Same })", "(Unreadable, Look::Text(Vec::new()))"),
    ("attempts-without-bound", "names", "origin/dial.rs",
     "let slot = if running.is_empty() { Some(None) }", "let slot = if running.len() < 99 { Some(None) }"),
    ("kept-outlives-its-name", "names", "serve/relay.rs", "Ok(kept.follow(leads, worker.flows.now()))",
     "kept.follow(leads, worker.flows.now());\n        Ok(true)", "--test suite follows::"),
    ("busy-gives-way", "places", "flow.rs", "false => [Phase::Head as u8, Phase::Handshake as u8].contains(&phase) && long >= NEWCOMER,",
     "false => long >= NEWCOMER,", "--lib crowd::"),
    ("slow-handshake-keeps-its-turn", "places", "proxy/handshake.rs", "        self.wanted.notified().await;", "        std::future::pending::<()>().await;",
     "--lib handshake::"),
    ("slow-handshake-keeps-its-place", "places", "flow.rs", "[Phase::Head as u8, Phase::Handshake as u8]", "[Phase::Head as u8]", "--test suite handshakes::"),
    ("handshake-without-deadline", "places", "proxy/handshake.rs", "flow.wait(Phase::Handshake, proxy.limits().head_timeout);",
     "flow.wait(Phase::Handshake, None);", "--test suite handshakes::"),
    ("nobody-gives-way", "places", "proxy.rs", "            shared.crowd.make_room();\n", "", CROWDS),
    ("any-quiet-one-gives-way", "places", "flow/crowd.rs", "        all.sort_unstable_by_key(|one| one.turn);\n", "", "--lib crowd::"),
    ("guests-uncounted", "places", "flow/crowd.rs", "let may = *count < most;", "let may = *count <= most;", CROWDS),
    ("turned-away-in-silence", "log", "proxy.rs",
     "        story::turned_away(&self.worker, who, fault.as_ref(), given);\n", "        let _ = given;\n", CROWDS),
    ("queue-in-one-turn", "no arm starves", "proxy/serve.rs", "                    tokio::task::yield_now().await;\n", "", CROWDS),
    ("fifo-is-waited-for", "log", "crates/cli/src/access_log/sink.rs", "let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits();",
     "let flags = OFlags::NOCTTY.bits();", SINK),
    ("stalled-reader-is-waited-for", "log", "crates/cli/src/access_log/sink.rs", "if poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], Some(&A_WHILE))? == 0 {",
     "if poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None)? == 0 {", SINK),
    ("others-lines-taken-back", "log", "crates/cli/src/access_log/sink.rs", "if n > 0 && self.is_file && ours == length {",
     "if n > 0 && self.is_file && (ours == length || ours > 0) {", SINK),
    ("hidden-characters-logged", "log", "crates/cli/src/access_log/json.rs", "rest.find(|c: char| c > '~')", "rest.find(|c: char| c > '\\u{ffff}')",
     "-p sluicegate-cli --bins access_log::json"),
    ("goodbye-is-an-abort", "truth", "serve/tunnel.rs", "if client_ended && ends_soon(origin, flow).await => Ok(()),",
     "if client_ended && false => Ok(()),", "--test suite ends_tunnel::"),
    ("abort-is-a-goodbye", "truth", "serve/tunnel.rs", "const LAST_WORDS: usize = 16 * 1024;", "const LAST_WORDS: usize = 1 << 30;",
     "--test suite ends_tunnel::"),
    ("staged-is-said", "truth", "serve/own.rs", "!self.response.has_begun() && fault", "self.response.raw().len() > usize::MAX / 2 && fault",
     "--test suite ends_origin::"),
    ("good-bytes-lost", "truth", "pump.rs", "Err(end) if pipe.has_begun() &&", "Err(end) if !pipe.has_begun() &&", "--test suite ends_origin::"),
    ("blank-hides-a-length", "truth", "crates/http1/src/tokenize.rs", "config.allow_spaces_after_header_name_in_responses(true);",
     "config.ignore_invalid_headers_in_responses(true);", "-p sluicegate-http1 --test suite responses::"),
    ("bare-lf-in-requests", "truth", "crates/http1/src/head.rs", "raw: Raw::new(LineEnds::CrLf),", "raw: Raw::new(LineEnds::LfToo),", "-p sluicegate-http1 --test suite requests::"),
    ("head-has-content", "truth", "serve/own.rs", "if self.head.method_so_far() ==", "if self.head.method() ==", "--test suite messages::"),
    ("larger-head-without-memory", "bound", "serve/exchange/larger.rs", "self.memory.filter(|_| !self.is_taken)", "self.memory.filter(|_| self.is_taken)",
     "--test suite messages::"),
    ("extensions-without-limit", "bound", "crates/http1/src/chunked.rs", "const EXTENSION_ALLOWED: usize = 128;",
     "const EXTENSION_ALLOWED: usize = 128 << 20;", "-p sluicegate-http1 --test suite chunks::"),
    ("idle-stream-keeps-its-share", "bound", "transport/stream.rs", "        self.lock().poll_ahead(cx).map(Ok)", "        let _ = cx;\n        Poll::Ready(Ok(()))",
     "--test suite streams::"),
    ("reset-beneath-tls-unseen", "promptness", "transport/stream.rs", "let Some(tcp) = self.tcp() else { return ahead.await };",
     "let Some(tcp) = self.tcp().filter(|_| false) else { return ahead.await };", "--test suite streams::"),
    ("abort-over-tls-says-fin", "truth", "transport/stream.rs", "            tcp.abort();", "            let _ = tcp;", "--test suite streams::"),
    ("byte-ahead-is-lost", "truth", "transport/stream.rs", "Ahead::Byte(byte) => Poll::Ready(Ok(self.read_behind(byte, cx, room))),",
     "Ahead::Byte(_) => self.poll_stream(cx, room),"),
    ("error-behind-a-byte-is-lost", "truth", "transport/stream.rs", "Poll::Ready(Err(error)) => self.ahead = Ahead::Failure(error),", "Poll::Ready(Err(_)) => {}"),
    ("connect-opens-nothing", "truth", "message/response.rs", "(200..300).contains(&self.0.status)", "(200..200).contains(&self.0.status)", "--test suite answers::"),
]


def find(tree, bug):
    """The file that a bug is planted in, and its text; or what is wrong with this list."""
    name, _, file, old = bug[:4]
    path = os.path.join(tree, "" if file.startswith("crates/") else SRC, file)
    if not os.path.exists(path):
        raise LookupError(f"{name}: there is no {file}; mend this list")
    with open(path) as f:
        text = f.read()
    if text.count(old) != 1:
        raise LookupError(f"{name}: its text stands {text.count(old)} times in {file}; mend this list")
    return path, text


def plant(tree, bug):
    try:
        path, text = find(tree, bug)
    except LookupError as error:
        raise SystemExit(error)
    with open(path, "w") as f:
        f.write(text.replace(bug[3], bug[4]))
    return path, text


def check(bugs):
    """Prints which bugs can no longer be planted, because the code has changed; how many."""
    wrong = 0
    for bug in bugs:
        try:
            find(ROOT, bug)
        except LookupError as error:
            wrong += 1
            print(error)
    return wrong


# Longer than any build of the tests takes, also a cold one beside others; then it is an error.
BUILD_SECONDS = 1800

# Longer than any of the tests takes; then a bug has made one wait for ever.
TEST_SECONDS = 240


def cargo(tree, target, arguments, seconds):
    env = dict(os.environ, CARGO_TARGET_DIR=target, CARGO_TERM_COLOR="never", PROPTEST_FAILURE_PERSISTENCE="off")
    return subprocess.run(["cargo", "test", "-q", *arguments], cwd=tree, env=env, capture_output=True, text=True,
                          timeout=seconds)


def build(tree, target, arguments):
    """Builds the tests; a tree that does not compile, or not in time, is an error of this list."""
    try:
        run = cargo(tree, target, [*arguments, "--no-run"], BUILD_SECONDS)
    except subprocess.TimeoutExpired:
        raise SystemExit(f"the tests were not built within {BUILD_SECONDS} s")
    if run.returncode != 0:
        raise SystemExit(run.stderr[-3000:])


def failing(tree, target, tests):
    """The tests that fail, or None if all pass."""
    arguments = tests if "-p" in tests else ["-p", "sluicegate", *tests]
    build(tree, target, arguments)
    try:
        run = cargo(tree, target, arguments, TEST_SECONDS)
    except subprocess.TimeoutExpired:
        return ["(it never ends)"]
    if run.returncode == 0:
        return None
    failed = re.findall(r"^    ([a-z_0-9:]+)$", run.stdout, re.M)
    return sorted(set(failed)) or ["(it crashes)"]


def catchers(bugs, args):
    """What must pass while nothing is planted: for all bugs the library's own tests, for some what catches them."""
    default = " ".join(args.tests)
    return {bug[5] if len(bug) > 5 else default for bug in bugs} if args.only else {default}


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--list", action="store_true")
    ap.add_argument("--check", action="store_true", help="see that each can be planted, and run nothing")
    ap.add_argument("--only", nargs="*", default=[])
    ap.add_argument("--shuffle", action="store_true", help="in an order of its own each time, for a bounded run")
    ap.add_argument("--seconds", type=float, default=1e9)
    ap.add_argument("--target", default=os.path.join(ROOT, "target", "planted"))
    ap.add_argument("--tests", nargs="*", default=["--lib"], help="what is run: default the library's own tests")
    args = ap.parse_args()
    bugs = [bug for bug in BUGS if not args.only or bug[0] in args.only]
    unknown = set(args.only) - {bug[0] for bug in bugs}
    if unknown:
        raise SystemExit(f"there is no bug named {', '.join(sorted(unknown))}; see --list")
    if args.check:
        return 1 if check(bugs) else 0
    if args.shuffle:
        random.shuffle(bugs)
    if args.list:
        for bug in bugs:
            print(f"{bug[0]:32} {bug[1]:16} {bug[2]}")
        return 0
    passed = failed = 0
    stop = time.monotonic() + args.seconds
    with tempfile.TemporaryDirectory() as folder:
        tree = os.path.join(folder, "tree")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns("target", ".git"))
        for tests in catchers(bugs, args):
            if failing(tree, args.target, tests.split()):
                raise SystemExit(f"the tests fail without any bug planted: {tests}")
        for bug in bugs:
            if time.monotonic() > stop:
                print(f"not planted for lack of time: {bug[0]}")
                continue
            path, text = plant(tree, bug)
            by = failing(tree, args.target, bug[5].split() if len(bug) > 5 else args.tests)
            if by:
                passed += 1
                print(f"caught {bug[0]:32} by {', '.join(by[:3])}", flush=True)
            else:
                failed += 1
                print(f"NOT CAUGHT {bug[0]} ({bug[1]}, {bug[2]})", flush=True)
            with open(path, "w") as f:
                f.write(text)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
