/// The page at `/`: one file, nothing from elsewhere. It fetches `/status.json` and writes every value as text
/// (`textContent`), so that no name from the network can become markup.
enum StatusPage {
    static let html = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Pleach</title>
        <style>
        :root { color-scheme: light dark; --ink: #1c2421; --paper: #fbfaf7; --soft: #5f6b66; --rule: #d9ddd8;
          --leaf: #2f7d55; --warn: #a35b00; }
        @media (prefers-color-scheme: dark) { :root { --ink: #e6ebe8; --paper: #151a18; --soft: #98a49e;
          --rule: #303834; --leaf: #63bd8d; --warn: #e5a552; } }
        * { box-sizing: border-box; }
        body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; background: var(--paper); color: var(--ink);
          font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
        header { display: flex; flex-wrap: wrap; gap: .5rem 1rem; align-items: baseline; }
        h1 { font-size: 1.25rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
        #state { color: var(--leaf); font-weight: 600; } .soft { color: var(--soft); }
        #notice { color: var(--warn); min-height: 1.5em; }
        dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 1rem; margin: 1rem 0; }
        dt { color: var(--soft); font-size: .85rem; } dd { margin: 0; font-size: 1.2rem; font-variant-numeric: tabular-nums; }
        progress { width: 100%; height: .75rem; accent-color: var(--leaf); }
        table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
        th, td { text-align: left; padding: .35rem .5rem .35rem 0; border-bottom: 1px solid var(--rule); }
        th { color: var(--soft); font-weight: 500; font-size: .85rem; } td.n, th.n { text-align: right; }
        </style>
        </head>
        <body>
        <header><h1 id="plan">Pleach</h1><span id="state" role="status"></span><span class="soft" id="run"></span></header>
        <p id="notice" role="status"></p>
        <dl id="figures"></dl>
        <h2 id="round">No round is open</h2>
        <progress id="bar" max="1" value="0" aria-labelledby="round"></progress>
        <p class="soft" id="missing"></p>
        <h2>Workers</h2>
        <table><thead><tr><th>Name</th><th>State</th><th class="n">Samples</th><th class="n">Heard</th></tr></thead>
        <tbody id="workers"></tbody></table>
        <noscript><p>Without scripts, read <a href="/status.json">status.json</a> or <a href="/metrics">metrics</a>.</p>
        </noscript>
        <script>
        "use strict";
        const at = id => document.getElementById(id);
        const put = (id, text) => { at(id).textContent = text; };
        const make = (tag, text, kind) => { const e = document.createElement(tag); e.textContent = text;
          if (kind) e.className = kind; return e; };
        const share = x => x == null ? "–" : (100 * x).toFixed(2) + " %";
        const bytes = n => { const u = ["B", "KB", "MB", "GB", "TB"]; let i = 0;
          while (n >= 1000 && i < 4) { n /= 1000; i++; } return (i ? n.toPrecision(3) : n) + " " + u[i]; };
        const seconds = s => s == null ? "–" : s < 100 ? s.toFixed(1) + " s" : Math.round(s / 60) + " min";
        function show(s) {
          document.title = s.plan + " · " + s.state + " · Pleach";
          put("plan", s.plan); put("state", s.state); put("run", "run " + s.run);
          put("notice", s.waitingFor || "");
          const wire = s.wireBytesUp + s.wireBytesDown;
          const figures = [
            ["Stage", Math.min(s.stage + 1, s.stages.length) + " of " + s.stages.length + " " + (s.stages[s.stage] || "")],
            ["Rounds", s.roundsCompleted + " of " + s.roundsPlanned],
            ["Test accuracy", share(s.accuracy)], ["Masked weights", share(s.sparsity)],
            ["On the wire", bytes(wire)],
            ["Float32 averaging", bytes(s.wireBytesFloat32)],
            ["Fewer bytes", wire ? (s.wireBytesFloat32 / wire).toFixed(1) + "x" : "–"],
            ["Contributions", s.contributionsAccepted + (s.contributionsRefused ? " (" + s.contributionsRefused + " refused)" : "")],
          ];
          at("figures").replaceChildren(...figures.map(f => { const d = document.createElement("div");
            d.append(make("dt", f[0]), make("dd", f[1])); return d; }));
          const r = s.round;
          put("round", r ? "Round " + r.number + ", " + r.task + ": " + r.contributions + " of " + r.workers
            + " (quorum " + r.quorum + "), " + seconds(r.ageSeconds) + " of " + seconds(r.deadlineSeconds) : "No round is open");
          at("bar").max = r ? Math.max(1, r.workers) : 1; at("bar").value = r ? r.contributions : 0;
          put("missing", r && r.missing.length ? "Waiting for " + r.missing.join(", ") : "");
          at("workers").replaceChildren(...s.workers.map(w => { const row = document.createElement("tr");
            row.append(make("td", w.name), make("td", w.state), make("td", w.samples == null ? "–" : w.samples, "n"),
              make("td", w.secondsSinceSeen == null ? "–" : seconds(w.secondsSinceSeen) + " ago", "n")); return row; }));
        }
        async function refresh() {
          try {
            const answer = await fetch("/status.json", { cache: "no-store" });
            if (!answer.ok) throw new Error(answer.status);
            show(await answer.json());
          } catch { put("notice", "The coordinator does not answer; what is shown may be old."); }
          setTimeout(refresh, 1000);
        }
        refresh();
        </script>
        </body>
        </html>

        """
}
