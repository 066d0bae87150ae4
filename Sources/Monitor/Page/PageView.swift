extension StatusPage {
    /// Puts `PageState` and `PageCourse` where they belong. Every value is written as text, so no name can become markup.
    static let viewScript = #"""
        const charts = {
          time: new Chart("chart-time", "Seconds of each round", [{ low: 0, format: x => figure(x) + " s" }], true),
          accuracy: new Chart("chart-accuracy", "Test accuracy", [{ format: x => figure(100 * x) + " %" }]),
          loss: new Chart("chart-loss", "Mean loss", [{ format: figure }]),
          bytes: new Chart("chart-bytes", "Bytes so far", [{ log: true, format: bytes }]),
          small: new Chart("chart-small", "Masked weights, and bits a weight of what goes down",
            [{ low: 0, high: 1, format: x => Math.round(100 * x) + " %" }, { low: 0, format: figure }]),
        };
        let live = null, told = "";

        // Times that go on by themselves: what they count from, and how to say it.
        const clocks = new Map();
        const now = () => performance.now() / 1000;
        function clock(element, age, say) {
          if (!known(age)) { clocks.delete(element); element.textContent = say(null); return; }
          const since = now() - age;
          clocks.set(element, () => say(now() - since));
          element.textContent = say(age);
        }
        const ago = s => s == null ? "never, by this coordinator" : seconds(s) + " ago";
        let ticking = setInterval(() => {
          for (const [element, say] of clocks) {
            if (!element.isConnected) clocks.delete(element); else element.textContent = say();
          }
        }, 1000);

        const moods = { late: "warn", lost: "bad", working: "good", ready: "", contributed: "good", left: "soft",
          running: "good", finished: "good", waiting: "warn", failed: "bad", stopped: "warn" };
        const cell = (text, kind) => make("td", text, kind);
        const title = text => { const e = make("th"); e.scope = "row"; e.append(name(text)); return e; };
        function ageCell(age, say) { const e = cell("", "n"); clock(e, age, say); return e; }

        function term(key, value, text) {
          const part = make("div"), shown = make("dd", text);
          shown.dataset.key = key.key;
          shown.dataset.value = value == null ? "" : String(value);
          part.append(make("dt", key.text), shown);
          return part;
        }

        function bar(list, text, value, most, said, kind) {
          const shown = make("dd", null, kind), room = make("span"), line = make("i");
          line.style.width = (most > 0 ? 100 * value / most : 0) + "%";
          room.append(line);
          shown.append(room, make("span", said));
          list.append(make("dt", text), shown);
        }

        function showLive(s) {
          live = s;
          document.title = plain(s.plan) + " · " + s.state + " · Pleach";
          put("plan", s.plan); put("state", s.state); put("run", "run " + s.run);
          at("state").className = "tag " + (moods[s.state] || "");
          const r = s.round;
          const idle = s.state === "finished" ? "The run is finished" : "No round is open";
          put("now", r ? `Round ${r.number}, ${r.task}: ${r.contributions} of ${r.workers} contributions` : idle);
          at("bar").max = r ? Math.max(1, r.workers) : Math.max(1, s.roundsPlanned);
          at("bar").value = r ? r.contributions : s.roundsCompleted;
          const rounds = `${s.roundsCompleted} of ${s.roundsPlanned} rounds are done`;
          clock(at("age"), r ? r.ageSeconds : null, age => r ? `Stage ${r.stage + 1} of ${s.stages}, ${r.kind} · quorum `
            + `${r.quorum} · open for ${seconds(age)} of at most ${seconds(r.deadlineSeconds)} · ${rounds}` : rounds);
          const reason = s.waitingFor ? "Waiting: " + s.waitingFor : "";
          put("waiting", reason);
          // Said aloud when it is another one, not whenever a figure in it grows.
          const kind = reason.replace(/\d+/g, "#");
          if (kind !== told) put("waiting-said", reason);
          told = kind;
          showMissing(s);
          const wire = s.wireBytesUp + s.wireBytesDown, key = (key, text) => ({ key, text });
          at("figures").replaceChildren(
            term(key("stage", "Stage"), s.stage,
              s.stageKind ? `${s.stage + 1} of ${s.stages}, ${s.stageKind}` : `all ${s.stages} done`),
            term(key("roundsCompleted", "Rounds"), s.roundsCompleted, s.roundsCompleted + " of " + s.roundsPlanned),
            term(key("accuracy", "Test accuracy"), s.accuracy, share(s.accuracy)),
            term(key("sparsity", "Masked weights"), s.sparsity, share(s.sparsity)),
            term(key("wireBytesUp", "Bytes up"), s.wireBytesUp, bytes(s.wireBytesUp)),
            term(key("wireBytesDown", "Bytes down"), s.wireBytesDown, bytes(s.wireBytesDown)),
            term(key("wireBytesFloat32", "Float32 averaging"), s.wireBytesFloat32, bytes(s.wireBytesFloat32)),
            term(key("ratio", "Fewer bytes"), null,
              wire && s.wireBytesFloat32 ? (s.wireBytesFloat32 / wire).toFixed(1) + "x" : unknown),
            term(key("contributionsAccepted", "Contributions"), s.contributionsAccepted, whole(s.contributionsAccepted)),
            term(key("contributionsRefused", "Refused"), s.contributionsRefused, whole(s.contributionsRefused)),
            term(key("snapshot", "Snapshot"), s.snapshot, s.snapshot || unknown));
          const list = at("bytes"), most = Math.max(s.wireBytesUp, s.wireBytesDown, s.wireBytesFloat32);
          list.replaceChildren();
          bar(list, "Up", s.wireBytesUp, most, bytes(s.wireBytesUp), "s0");
          bar(list, "Down", s.wireBytesDown, most, bytes(s.wireBytesDown), "s1");
          bar(list, "Float32 averaging", s.wireBytesFloat32, most, bytes(s.wireBytesFloat32), "s2");
          const states = s.fleetStates.map(x => whole(x.count) + " " + x.state);
          put("fleet-states", states.join(" · ") || "Nobody has come yet.");
          const memory = `Coordinator: ${bytes(s.residentBytes)} resident, ${bytes(s.peakBytes)} at most.`;
          put("memory", s.residentBytes ? memory : "");
          showWanted();
        }

        function showMissing(s) {
          const found = s.missing;
          at("missing-part").hidden = !found.rows.length;
          at("missing").replaceChildren(...found.rows.map(w => {
            const row = make("tr");
            row.append(title(w.name), cell(w.state, moods[w.state]), ageCell(w.secondsSinceSeen, ago),
              ageCell(w.taskSeconds, t => t == null ? "no task" : seconds(t)),
              cell(w.task ? w.task.doing + " " + Math.round(100 * w.task.fraction) + " %" : unknown, "n"));
            return row;
          }));
          const more = [];
          if (found.total > found.rows.length) more.push("and " + whole(found.total - found.rows.length) + " more.");
          if (s.unknownWorkers) more.push(whole(s.unknownWorkers) + " expected and never heard of.");
          put("missing-more", more.join(" "));
        }

        function showFleet(found) {
          at("fleet").replaceChildren(...found.rows.map(w => {
            const row = make("tr");
            row.append(title(w.name), cell(w.state, moods[w.state]), ageCell(w.secondsSinceSeen, ago),
              ageCell(w.taskSeconds, seconds), cell(w.samples == null ? unknown : whole(w.samples), "n"));
            return row;
          }));
          put("fleet-caption", found.total > found.rows.length
            ? "Workers: " + found.rows.length + " of " + whole(found.total) + "; give a name or a state to find others"
            : whole(found.total) + (found.total === 1 ? " worker" : " workers"));
        }

        // Names and states are looked up where all of them are; once the run is over, among those that are here.
        let asked = 0;
        async function lookUp(search, state) {
          const mine = asked += 1;
          try {
            const answer = await ask("/fleet.json?" + new URLSearchParams({ search, state }));
            if (answer.ok && mine === asked) showFleet(await answer.json());
          } catch { put("fleet-caption", "The coordinator does not answer"); }
        }
        function showWanted() {
          const search = at("search").value.trim(), state = at("wanted").value;
          if ((search || state) && live.state !== "finished") return lookUp(search, state);
          asked += 1;
          const rows = live.fleet.rows.filter(w => (!state || w.state === state)
            && w.name.toLowerCase().includes(search.toLowerCase()));
          showFleet({ total: search || state ? rows.length : live.fleet.total, rows });
        }
        at("fleet-form").addEventListener("submit", event => event.preventDefault());
        for (const id of ["search", "wanted"]) at(id).addEventListener("input", () => { if (live) showWanted(); });

        function showCourse({ course: c, layers, layersTotal }) {
          // Rounds come in columns.
          const columns = Object.entries(c.rounds);
          const rounds = c.rounds.first.map((_, i) => Object.fromEntries(columns.map(([key, values]) => [key, values[i]])));
          at("stages").replaceChildren(...c.stages.map((stage, i) => {
            const e = make("li", null, "s" + i % 4 + (stage.state === "planned" ? " soft" : " begun"));
            e.append(make("b", (i + 1) + " " + stage.kind), make("span", stage.state === "planned" ? "planned"
              : [stage.state, stage.rounds + (stage.rounds === 1 ? " round" : " rounds"), seconds(stage.seconds),
                known(stage.accuracyAfter) ? share(stage.accuracyAfter) : null].filter(Boolean).join(" · ")));
            return e;
          }));
          const points = rounds.map(r => ({ first: r.first, at: r.last, stage: r.stage, pale: r.task !== "train",
            label: (r.first === r.last ? "Round " + r.first : "Rounds " + r.first + " to " + r.last) + ", "
              + (c.stages[r.stage] || {}).kind
              + (r.first === r.last && r.task !== (c.stages[r.stage] || {}).kind ? ", " + r.task : "") }));
          const column = (key, text, format, axis) =>
            ({ name: text, values: rounds.map(r => r[key] ?? null), format, axis });
          const sums = key => { let sum = 0; return rounds.map(r => sum += r[key]); };
          charts.time.show(points, [column("seconds", "time", seconds), column("contributions", "contributions", whole),
            column("refusals", "refused", whole)]);
          charts.accuracy.show(points, [column("accuracy", "test accuracy", share)]);
          charts.loss.show(points, [column("trainingLoss", "training", figure), column("testLoss", "test", figure)]);
          const ways = [["wireBytesUp", "up"], ["wireBytesDown", "down"], ["float32Bytes", "float32 averaging"]];
          charts.bytes.show(points, ways.map(([key, text]) => ({ name: text, values: sums(key), format: bytes })));
          charts.small.show(points,
            [column("sparsity", "masked", share), column("bitsPerWeight", "bits a weight", figure, 1)]);
          at("layers").replaceChildren(...layers.map(l => {
            const row = make("tr");
            row.append(title(l.name),
              ...[whole(l.weights), share(l.sparsity), figure(l.bits)].map(text => cell(text, "n")));
            return row;
          }));
          put("time-more", c.roundsBefore ? "The first " + whole(c.roundsBefore) + " rounds are not shown." : "");
          put("layers-more", layersTotal > layers.length ? "and " + whole(layersTotal - layers.length) + " more." : "");
          at("refused-none").hidden = c.refusals.length > 0;
          at("refused-part").hidden = !c.refusals.length;
          const list = at("refused"), most = Math.max(0, ...c.refusals.map(x => x.count));
          list.replaceChildren();
          for (const x of c.refusals) bar(list, reasons[x.kind] || x.kind, x.count, most, whole(x.count), "s2");
          at("refused-newest").replaceChildren(...c.newestRefusals.map(x => {
            const row = make("tr");
            row.append(cell(x.round, "n"), title(x.worker), cell(reasons[x.kind] || x.kind), cell(x.reason, "text"));
            return row;
          }));
        }
        const reasons = { declined: "declined by the worker", transfer: "could not be fetched", base: "of another snapshot",
          norm: "too large a norm", notFinite: "not finite", size: "too many bytes", samples: "too many samples",
          kind: "of the wrong kind", malformed: "malformed", other: "other" };
        """#
}
